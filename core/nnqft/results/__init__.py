"""What a computation hands back: contributions, rows, tables, curves, and how they are written and read."""
