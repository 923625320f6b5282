"""What plugins and workers may import from core: the public names and a short list of rooms."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nnqft

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "nnqft", "nnqft.checks", "nnqft.cli", "nnqft.errors", "nnqft.files", "nnqft.graphs.indices",
    "nnqft.host", "nnqft.identity", "nnqft.integrals", "nnqft.interrupts", "nnqft.replacing", "nnqft.show",
    "nnqft.stages.times", "nnqft.threads", "nnqft.writing",
}  # fmt: skip
FILES = [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "workers").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]


def imports(path: Path) -> set[str]:
    """The modules of core that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {module for module in found if module.split(".")[0] == "nnqft"}


def room(module: str) -> str:
    """The room of a module; a single module of stages or graphs is on the list, and counts for itself."""
    return module if module.startswith(("nnqft.stages.", "nnqft.graphs.")) else ".".join(module.split(".")[:2])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_rooms_on_the_list(path):
    assert {room(module) for module in imports(path)} <= ALLOWED


def test_every_room_on_the_list_is_used():
    assert {room(module) for path in FILES for module in imports(path)} == ALLOWED


def test_no_public_name_is_a_module():
    modules = {path.stem for path in Path(nnqft.__file__).parent.iterdir()}
    assert not modules & set(nnqft.__all__)
