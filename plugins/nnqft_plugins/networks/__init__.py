"""The network itself, beside its diagrams: at infinite width, simulated, and as published."""
