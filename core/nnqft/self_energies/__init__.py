"""Self-energies from irreducible diagrams, and Dyson's equation that they solve."""
