"""Networks of finite width at any coupling: fluctuations of the kernels, and what they change at order 1/N."""
