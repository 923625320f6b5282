"""The public names: none appears or disappears unnoticed, and each is documented."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import nnqft

NAMES = [
    "AbstractDerivedObservable", "AbstractExecutor", "AbstractIntegrator", "AbstractModel", "AbstractObservable",
    "AbstractSimulator", "Activation", "Check", "ClosedForm", "Derived", "Diagram", "DiagramRow", "DiagramSet",
    "Dyson", "Estimate", "ExecutorError", "Field", "InputError", "IntegrationError", "Keep", "LedgerError", "Leg",
    "Line", "Memory", "Need", "NnqftError", "Outcome", "Parameter", "PluginError", "Point", "Propagator", "Request",
    "Result", "Sampling", "SelfEnergy", "Series", "Shared", "Simulated", "Singularity", "Target", "Term", "Theory",
    "TheoryError", "TimeIntegral", "UnknownNameError", "Vertex", "Work", "WorkError", "check", "compute",
    "diagrams", "dyson", "finite_number", "hookimpl", "load", "short", "theory", "time_integral", "whole_number",
]  # fmt: skip


def test_public_names():
    assert list(nnqft.__all__) == NAMES
    assert sorted(NAMES) == NAMES


def test_every_name_is_there():
    for name in NAMES:
        assert getattr(nnqft, name) is not None


@pytest.mark.parametrize("name", [name for name in NAMES if name != "hookimpl"])
def test_every_public_object_is_documented(name):
    thing = getattr(nnqft, name)
    words = inspect.getdoc(thing)
    assert words, f"{name} has no docstring"
    assert not words.startswith(f"{name}("), f"{name} has only the docstring that dataclass made"


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isclass(getattr(nnqft, name))])
def test_every_public_method_is_documented(name):
    for method, value in vars(getattr(nnqft, name)).items():
        if not method.startswith("_") and (inspect.isfunction(value) or isinstance(value, (property, classmethod))):
            words = inspect.getdoc(value.__func__ if isinstance(value, classmethod) else value)
            assert words, f"{name}.{method} has no docstring"


@pytest.mark.parametrize("name", ["theory", "diagrams", "check", "compute", "dyson", "load", "time_integral"])
def test_every_public_function_says_what_it_raises(name):
    assert "Raises" in getattr(nnqft, name).__doc__


def test_every_error_is_an_nnqft_error():
    for name in NAMES:
        thing = getattr(nnqft, name)
        if inspect.isclass(thing) and issubclass(thing, Exception):
            assert issubclass(thing, nnqft.NnqftError)
    assert issubclass(nnqft.InputError, ValueError)
    assert issubclass(nnqft.UnknownNameError, nnqft.InputError)
    assert issubclass(nnqft.TheoryError, nnqft.PluginError)


def test_dir_shows_the_public_names_and_nothing_else():
    code = "import nnqft; print(*dir(nnqft))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == dir(nnqft) == NAMES


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'nnqft' has no attribute 'comptue'"):
        nnqft.comptue  # noqa: B018


def test_importing_stays_light():
    """What only some computations need is imported by them."""
    heavy = (
        "cyclopts", "gvar", "jax", "matplotlib", "mpmath", "networkx", "pynauty", "ray", "rich", "scipy", "vegas",
        "nnqft.cli", "nnqft.pipeline", "nnqft.results", "nnqft.self_energies", "nnqft_plugins", "nnqft_workers",
    )  # fmt: skip
    code = f"import sys, nnqft; print(*(m for m in {heavy} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
