"""Parameters that several models share, their checks, and the activations that one of them names."""
