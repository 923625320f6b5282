"""Exact integrals of sums of exponentials, by a walk over sets of points in the order of time."""
