"""No function and no module grows beyond what one reads in one go; ruff (C901) looks after their complexity."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("core", "plugins", "workers") for path in (ROOT / folder).rglob("*.py"))
LONGEST_FUNCTION, LONGEST_MODULE = 50, 300
LONG: dict[str, int] = {}
"""Functions that are longer for a while, by file and name, and how long they may be; none is."""

_NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip
_WITH_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(source: str) -> set[int]:
    """Numbers of the lines that hold code: no blank lines, comments or docstrings."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def function_lengths(source: str) -> dict[str, int]:
    """Lines of code of each function, its own name, arguments and inner functions included."""
    lines = code_lines(source)
    return {
        f"{node.name} (line {node.lineno})": sum(node.lineno <= line <= node.end_lineno for line in lines)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_what_counts_as_code():
    source = '''"""Module."""


def f(a,
      b):
    """Two
    lines."""
    # why

    text = """not
    a docstring"""
    return a
'''
    assert code_lines(source) == {4, 5, 10, 11, 12}
    assert function_lengths(source) == {"f (line 4)": 5}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_short_enough(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= LONGEST_MODULE
    too_long = {
        name: length
        for name, length in function_lengths(source).items()
        if length > LONG.get(f"{path.relative_to(ROOT)}:{name.split()[0]}", LONGEST_FUNCTION)
    }
    assert too_long == {}
