"""What all tests share: examples that are the same on every run, no clock in them, and nothing left installed."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A loaded machine is no reason to fail, and a failure must be seen by everyone who runs the tests.
settings.register_profile("nnqft", deadline=None, derandomize=True)
settings.load_profile("nnqft")


@pytest.fixture(autouse=True)
def nothing_stays_installed() -> Iterator[None]:
    """Take away what a test installed in the host that all of them share."""
    yield
    if (coupled := sys.modules.get("coupled")) is not None:
        coupled.forget()
