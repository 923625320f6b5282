"""Commands run in this process, made smaller where they would take long."""

from __future__ import annotations

import contextlib
import io
import shlex

from nnqft.cli.main import main

FEWER = {
    "simulate": ["--networks", "50"],
    "phase-diagram": ["--sigma-w", "1:2:3", "--sigma-b", "0.3"],
    "compute": ["-n", "1"],
    "dyson": ["-n", "1", "--rtol", "1e-2"],
    "check": ["--samples", "40"],
}
"""Options that make an example small; an option that is written twice would be refused, so its first is left out."""


TINY = ["--couplings", "0.25", "--widths", "20", "--tanh-couplings", "none", "--rtol", "0.3", "--networks", "100"]
"""A study of one cell."""
SAME = {"--order": "-n"}
"""Long names of options that FEWER has by their short ones."""


def said(words: list[str], wanted: int = 0) -> str:
    """What a command prints, its errors included, if it ends with that status."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = main(words)
    assert status == wanted, output.getvalue()
    return output.getvalue()


def smaller(words: list[str]) -> list[str]:
    """The example with less to do."""
    more = FEWER.get(words[0], [])
    if "resummed" in words:  # nothing is small or large about it
        return words
    kept, skip = [], False
    for word in words:
        if not skip and word not in more[::2]:
            kept.append(word)
        skip = word in more[::2] and not skip
    return kept + more


def run_smaller(line: str) -> str:
    """What a command prints as it stands in help or in a document, with less to do; it is run in this folder."""
    program, *words = shlex.split(line, comments=True)
    assert program == "nnqft"
    words = [SAME.get(word, word) for word in words]
    if words == ["repair", "result.json"]:
        said(["compute", "linear", "-n", "1", "--json", "result.json"])
    elif words[0] in ("resume", "ledger", "repair"):
        said(["compute", "linear", "-n", "1", "--ledger", "run.ledger"])
    if words[0] == "resume":
        words = ["resume", "run.ledger", "--request", "1"]
    if words[0] == "study":
        words = ["study", "test-it", "--out", "study", "--executor", "local", *TINY]
    if "processes" in words:
        words[words.index("processes")] = "local"
    if words[0] == "simulate" and "--rtol" in words:
        at = words.index("--rtol")
        words[at + 1] = "0.5"  # so few networks are right to so much
    return said(smaller(words))
