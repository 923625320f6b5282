"""A diagram on one line of text.

``t(a(b)) s(c) b~c {a,c}{b,d}``: the response of b runs to a and that of a to t; b and c are joined by a
correlator; a and c are the two times of one vertex. Further responses read ``s>c``, one closed on its point ``a>a``;
an amputated leg that ends on a reads ``t|a``, a source, on which a line ends, ``[a]``. Where a theory has several
responses or correlators, a line's name stands behind it, ``t(a:G_ab) s~a:C_ab``, and of a correlator the point of its
left field comes first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from string import ascii_lowercase

from nnqft.graphs.parts import REPLICA, Line, Point

_LEGEND = (
    (r"\(", "a(b): a response runs from b to a"),
    (r"\|", "t|a: the amputated leg t ends on a"),
    (r"\b(\w+)>(?!\1\b)", "a>b: a response, too, from a to b"),
    (r"\b(\w+)>\1\b", "a>a: a response closed on its own time"),
    (r"~", "a~b: a correlator of a and b"),
    (r"\w:\S", "a:C: the line's name, of a~b:C the left field at a"),
    (r"{\w+}", "{a}: a vertex of one time"),
    (r"\[\w+\]", "[a]: a source, which ends a line and has no time of its own"),
    (r"{\w+,", "{a,b}: the times of one vertex"),
    (r"@", "t@b: the time t of noise history b, as all that hangs on it"),
)
"""Signs of one line, and how each is read."""


def legend(lines: Iterable[object]) -> str:
    """How to read diagrams that are written on one line each: the signs that occur in them, nothing else."""
    texts = [str(line) for line in lines]
    return " · ".join(words for sign, words in _LEGEND if any(re.search(sign, text) for text in texts))


def point_names(points: Sequence[Point], replicas: Sequence[str] = ()) -> list[str]:
    """Names of the points: t and s, or t1…tk, for external ones, letters for the others.

    `replicas` are the noise histories of the external ones, where they are of several.
    """
    externals = sum(point.vertex < 0 for point in points)
    outer = ["t", "s"][:externals] if externals <= 2 else [f"t{n + 1}" for n in range(externals)]
    outer = (
        [name + f"{REPLICA}{own}" * (own != "a") for name, own in zip(outer, replicas, strict=True)]
        if replicas
        else outer
    )
    letters = [c for c in ascii_lowercase if c not in "ts"]
    inner = [letters[n % len(letters)] + str(n // len(letters) or "") for n in range(len(points) - externals)]
    return outer + inner


def one_line(
    points: Sequence[Point],
    lines: Sequence[Line],
    named: Sequence[str] = (),
    sources: Collection[int] = (),
    replicas: Sequence[str] = (),
) -> str:
    """The diagram with these points and lines on one line.

    `named` lines are written with their names; `sources` are the numbers of the vertices that only end lines;
    `replicas` are the noise histories of the external points.
    """
    names, externals = point_names(points, replicas), sum(point.vertex < 0 for point in points)
    children: dict[int, list[int]] = {n: [] for n in range(len(names))}
    placed: set[int] = set()
    ends: set[int] = set()
    rest: list[str] = []
    above: dict[int, str] = {}
    for line in lines:
        name = f":{line.propagator}" if line.propagator in named else ""
        if line.response and line.end != line.start >= externals and line.start not in placed:
            placed.add(line.start)
            children[line.end].append(line.start)
            above[line.start] = name
            if line.stub:
                ends.add(line.end)
        else:
            joint = "|" if line.stub else ">" if line.response else "~"
            first, second = (line.end, line.start) if name and not line.response else (line.start, line.end)
            rest.append(f"{names[first]}{joint}{names[second]}{name}")

    def tree(point: int) -> str:
        inside = ",".join(tree(child) for child in children[point])
        if point in ends:
            return f"{names[point]}|{inside}"
        return names[point] + above.get(point, "") + (f"({inside})" if inside else "")

    groups: dict[int, list[str]] = {}
    for n, point in enumerate(points):
        if point.vertex >= 0:
            groups.setdefault(point.vertex, []).append(names[n])
    vertices = "".join(("[{}]" if n in sources else "{{{}}}").format(",".join(group)) for n, group in groups.items())
    # A point whose response is closed on itself hangs on no other: it is a root, shown if anything hangs on it.
    roots = [n for n in range(len(names)) if n < externals or (n not in placed and children[n])]
    return " ".join([*(tree(root) for root in roots), *sorted(rest), vertices]).strip()
