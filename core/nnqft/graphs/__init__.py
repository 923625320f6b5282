"""Diagrams: how they are laid out, contracted, told apart, held in sets, and written on one line."""
