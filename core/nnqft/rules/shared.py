"""What several noise histories on one network have in common, and what each of them has for itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from string import ascii_lowercase

from nnqft.rules.parts import Propagator, Vertex
from nnqft.rules.term import as_tuple


@dataclass(frozen=True, repr=False)
class Shared:
    """What noise histories on one network, its replicas, have in common: lines and vertices between two of them.

    Lines and vertices of a `Theory` itself are those of one history. Noise is drawn for each history anew; what is
    drawn once, such as weights, bias and input, joins them.

    Parameters
    ----------
    lines
        Correlators ⟨h^a(t) h^b(s)⟩ between two different histories, by the names and fields of the theory's own:
        what static sources that both hear leave of these. A correlator that is not among them vanishes between
        histories, and a response always does.
    vertices
        Those that the average over what is drawn once makes. Legs of each point are of one history, and each point's
        history is one of its own, unless the legs say otherwise by letters (`Leg.replica`), as those that meet at one
        time have to. Every way to hand the histories out, in any order, is taken; those in which all are one are
        in the theory already. A vertex of one point without letters is of one history, and may stand among them.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import nnqft
    >>> from nnqft import Propagator, Shared, Term
    >>> linear = nnqft.theory("linear", N=10, sigma_w=0.5, sigma_b=0.3)
    >>> bias = Propagator("C", "h", "h", terms=(Term(0.09, 0.0),))
    >>> mine = replace(linear, shared=Shared(lines=(bias,), vertices=linear.vertices))
    >>> print(nnqft.diagrams(mine, "two_point", order=0, replicas="ab")[0])
    t s@b s@b~t
    """

    lines: tuple[Propagator, ...] = ()
    vertices: tuple[Vertex, ...] = ()

    def __post_init__(self) -> None:
        for name in ("lines", "vertices"):
            object.__setattr__(self, name, as_tuple(getattr(self, name)))

    def __repr__(self) -> str:
        return f"Shared({len(self.lines)} lines, {len(self.vertices)} vertices)"


def by_history(vertex: Vertex) -> tuple[Vertex, list[str]]:
    """A vertex with its histories as letters of its legs, and these letters."""
    if not any(leg.replica != "a" for leg in vertex.legs):
        legs = [replace(leg, replica=ascii_lowercase[leg.point]) for leg in vertex.legs if isinstance(leg.point, int)]
        vertex = replace(vertex, legs=tuple(legs))
    return vertex, sorted({leg.replica for leg in vertex.legs})
