"""The command line, a leaf: nothing in core imports it."""
