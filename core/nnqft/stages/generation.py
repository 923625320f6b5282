"""The diagrams of an observable of a theory, all that was asked checked first."""

from __future__ import annotations

from nnqft.checks import one_line_keywords, true_or_false, whole_number
from nnqft.errors import InputError, short
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.graphs.generate import MAX_DIAGRAMS, generate
from nnqft.graphs.indices import check_indices, label_legs
from nnqft.graphs.irreducible import amputate
from nnqft.graphs.irreducible import irreducible as only_irreducible
from nnqft.graphs.replicas import check_replicas, label_replicas, replicate
from nnqft.host import default_host, plugin_errors
from nnqft.interfaces.observable import AbstractDerivedObservable, AbstractObservable
from nnqft.rules.theory import Theory
from nnqft.stages.request import Request
from nnqft.stages.theories import as_theory


@one_line_keywords
def diagrams(
    theory: Theory,
    observable: str,
    *,
    order: int,
    width_order: int | None = None,
    arity: int | None = None,
    indices: str | None = None,
    replicas: str | None = None,
    irreducible: bool = False,
    max_diagrams: int = MAX_DIAGRAMS,
) -> DiagramSet:
    """All diagrams of an observable, of orders 0 to `order` and width orders 0 to `width_order` (None: all).

    Of a theory that leaves the degree of its activation to a computation, the vertices to degree 2·order + 2 are taken;
    ``theory.up_to(degree)`` takes others.

    Parameters
    ----------
    theory
        From `theory`, or made by hand.
    observable
        Name of an observable with legs (``nnqft plugins`` lists them).
    order, width_order
        Highest order n, in powers of σ_w² for a network, and highest power k of 1/N.
    arity
        Number of times of an observable that takes any number, such as ``"cumulant"``; if not given, as many as there
        are letters in `indices` or `replicas`, or 2.
    indices
        Which legs belong to the same unit, a letter for each: ``"iijj"`` for ⟨h_i h_i h_j h_j⟩ with i ≠ j. All are of
        one unit if not given.
    replicas
        Which legs belong to the same noise history, a letter for each: with ``indices="ijij", replicas="aabb"`` it is
        ⟨h_i^a h_j^a h_i^b h_j^b⟩, a and b two noises on one network. All are of one history if not given.
    irreducible
        Only connected diagrams in which no single line separates external legs from each other, amputated: a leg h
        of the observable ends on a z̃ of the diagram, a leg z̃ on an h. Of ``"two_point"`` these are the self-energy
        Σ(z̃,z̃), of ``"response"`` Σ(z̃,h), of ``"cumulant"`` the effective vertices with k legs z̃.
    max_diagrams
        Refuse to generate more.

    Returns
    -------
    DiagramSet
        Sorted by order, width order and canonical form. The sum of weight × time integral over them is the observable
        to that order.

    Raises
    ------
    InputError
        On a theory without diagrams, an unknown observable, a bad order, indices or replicas that do not fit, or more
        than `max_diagrams` diagrams (predicted beforehand).

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> diagrams = nnqft.diagrams(theory, "two_point", order=1, width_order=1)
    >>> for diagram in diagrams:
    ...     print(diagram.family, diagram)
    cactus t s t~s
    cactus t(b) s(a) a~b {a,b}
    mushroom t(a(b)) s s~b {a,b}
    mushroom t s(b(a)) t~a {a,b}
    >>> len(nnqft.diagrams(theory, "response", order=2, irreducible=True))
    3
    """
    theory = as_theory(theory)
    if theory.no_diagrams:
        raise InputError(theory.no_diagrams)
    plugin = default_host().observable(observable)
    if isinstance(plugin, AbstractDerivedObservable):
        raise InputError(f"observable {observable!r} is derived and has no diagrams; ask for those it is made of")
    pattern, histories = check_indices(indices), check_replicas(replicas)
    with plugin_errors(f"observable {observable!r}"):
        legs = tuple(plugin.legs(theory, _arity(plugin, arity, pattern or histories)))
    legs = label_legs(theory, observable, legs, pattern)
    legs = label_replicas(observable, legs, histories)
    if theory.adaptive and theory.degree is not None:
        # Nothing says yet how well φ is to be known: all that order 1 holds, and two degrees more an order.
        theory = theory.up_to(min(theory.degree, 2 * whole_number("order", order, 0) + 2))
    theory, legs = replicate(theory, legs)
    if true_or_false("irreducible", irreducible):
        theory, legs = amputate(theory, legs)
        observable = f"irreducible {observable}"
    diagram_set = generate(
        theory,
        observable,
        legs,
        order=whole_number("order", order, 0),
        width_order=None if width_order is None else whole_number("width_order", width_order, 0),
        connected=plugin.connected or irreducible,
        max_diagrams=whole_number("max_diagrams", max_diagrams, 1, f"{MAX_DIAGRAMS}"),
    )
    return only_irreducible(diagram_set) if irreducible else diagram_set


def requested_diagrams(theory: Theory, request: Request, max_diagrams: int) -> DiagramSet:
    """The diagrams of a request that asks for orders one by one."""
    assert isinstance(request.order, int)  # the others are summed by the model
    return diagrams(
        theory,
        request.observable,
        order=request.order,
        width_order=request.width_order,
        arity=len(request.times[0]),
        indices=request.indices,
        replicas=request.replicas,
        max_diagrams=max_diagrams,
    )


def _arity(plugin: AbstractObservable, arity: int | None, indices: str | None) -> int:
    if arity is None:
        return len(indices or "ii") if plugin.arity is None else plugin.arity
    if plugin.arity not in (None, arity):
        raise InputError(f"arity={short(arity)}: observable {plugin.name!r} has {plugin.arity} times; leave it out")
    return whole_number("arity", arity, 1)
