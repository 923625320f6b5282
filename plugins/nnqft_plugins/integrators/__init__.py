"""Integrators, a file or a folder each."""
