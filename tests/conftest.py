"""What all tests share: examples that are the same on every run, and no clock in them."""

from hypothesis import settings

# A loaded machine is no reason to fail, and a failure must be seen by everyone who runs the tests.
settings.register_profile("nnqft", deadline=None, derandomize=True)
settings.load_profile("nnqft")
