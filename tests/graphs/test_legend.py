"""The legend of drawings on one line: the signs that occur, each with how it is read."""

from __future__ import annotations

import re

import pytest

import nnqft
from nnqft.cli.main import main
from nnqft.graphs.text import legend

SIGNS = {
    "t(a(b)) s s~b {a,b}": ["a(b):", "a~b:", "{a,b}:"],
    "t s s>t": ["a>b:"],
    "t(b) s a>a s~b {a,b}": ["a(b):", "a>a:", "a~b:", "{a,b}:"],
    "t|a(b) s s|b {a,b}": ["a(b):", "t|a:", "{a,b}:"],
    "t s a~a s~a t~a {a}": ["a~b:", "{a}:"],
    "t(a) a~b:M a~c:M {a}[b][c]": ["a(b):", "a~b:", "a:C:", "{a}:", "[a]:"],
}


@pytest.mark.parametrize("line", SIGNS)
def test_only_what_occurs(line):
    assert re.findall(r"(?:^|· )(\S+:)", legend([line])) == SIGNS[line]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["linear", "-n", "2", "--irreducible"], "t|a: the amputated leg t ends on a"),
        (["cubic_tanh", "-O", "response", "-n", "1"], "a>b: a response, too, from a to b"),
        (["langevin", "-O", "mean", "--start", "rest", "-p", "x_0=1", "-n", "0"], "[a]: a source, which ends a line"),
    ],
)
def test_the_command_says_it(words, said, capsys):
    assert main(["diagrams", *words]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("read: ")
    assert said in last


def test_other_drawings_have_none(capsys, monkeypatch):
    from nnqft.host import default_host

    monkeypatch.setitem(default_host().found["drawing"], "plain", (lambda diagram: "x", "third"))
    assert main(["diagrams", "linear", "-n", "1", "--drawing", "plain"]) == 0
    assert "read:" not in capsys.readouterr().out


def test_a_diagram_says_how_it_is_read():
    for sign in ("``a(b,c)``", "``a>b``", "``a>a``", "``a~b``", "``t|a``", "``{a,b}``", "``[a]``"):
        assert sign in nnqft.Diagram.__doc__
