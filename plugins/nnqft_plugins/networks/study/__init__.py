"""Studies: many computations and simulations side by side, resumable, with a report."""
