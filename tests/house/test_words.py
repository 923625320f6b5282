"""docs/words.md: its code says what it says, its drawing is the program's diagram, its modules exist."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import nnqft

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/words.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+?) \| ((?:[^|]|\\\|)+?) \| ([^|]+?) \|$", TEXT, re.MULTILINE)
WORDS = [row for row in ROWS if row[0] not in ("word", "---")]


def test_the_code_runs():
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 8
    assert result.failed == 0


def test_the_drawing_is_the_diagram():
    """From s on, across each vertex's point from its h to its z̃: the way that the drawing takes."""
    theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    diagram = nnqft.diagrams(theory, "two_point", order=1)[2]
    names = dict(enumerate("tsab"))
    drawing, here, left = "s", 1, list(diagram.lines)
    while left:
        (line,) = [
            line for line in left if here in (line.start, line.end) and (line.start == here or not line.response)
        ]
        left.remove(line)
        here = line.end if line.start == here else line.start
        drawing += " ──G─▸ " if line.response else " ╌╌C╌╌ "
        drawing += names[here] if here < diagram.externals else f"h({names[here]})  z̃({names[here]})"
    assert f"    {drawing}\n" in TEXT


def test_every_word_has_one_sentence_and_a_module():
    assert len(WORDS) > 70
    assert len({word for word, _, _ in WORDS}) == len(WORDS)
    for word, meaning, where in WORDS:
        assert re.fullmatch(r"(?:[^.]|\.(?! ))+\.", meaning), f"{word}: wanted one sentence"
        for path in re.findall(r"`(.+?)`", where):
            roots = ROOT, ROOT / "core/nnqft"
            assert any((root / path).is_file() for root in roots), f"{word}: no {path}"


def test_the_page_is_linked():
    for page in ("README.md", "docs/physics.md"):
        assert "words.md" in (ROOT / page).read_text(encoding="utf-8"), page
