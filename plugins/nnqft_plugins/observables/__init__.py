"""Observables, a file each."""
