"""Time integrals of diagrams on the unit cube, their estimates, and functions that are known in closed form."""
