"""The Feynman rules of one model at one set of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from nnqft.checks import finite_number, whole_number
from nnqft.errors import InputError, TheoryError, UnknownNameError, short
from nnqft.rules.action import Action
from nnqft.rules.bilocal import contract_bilocal
from nnqft.rules.consistency import check_action, check_parts
from nnqft.rules.line_checks import Setting
from nnqft.rules.parts import Field, Propagator, Vertex
from nnqft.rules.printed import print_action
from nnqft.rules.shared import Shared
from nnqft.rules.term import as_tuple
from nnqft.show.numbers import clipped, greek, plain_value


@dataclass(frozen=True, repr=False)
class Theory:
    """The Feynman rules of one model at one set of parameters, in the conventions of Helias & Dahmen, arXiv:1901.10416.

    The weight of a configuration is e^{−S}, a vertex is a term of −S, and ⟨h(t) z̃(s)⟩ = +G(t, s); docs/physics.md has
    the whole of it. All times and rates are in one unit of time, which is the user's own.

    Parameters
    ----------
    model, start
        Name of the model plugin; ``"stationary"`` or ``"rest"``.
    parameters
        Name → value, by the names of the model.
    fields, propagators, vertices
        The rules. Vertices may contain bilocal fields; see `interactions`.
    remarks
        One line each: what a user should know of these parameters (a diverging series, …).
    couplings
        Values of couplings of vertices that are not parameters themselves, such as one coefficient of a drift.
    timeless
        True for a plain integral over field values: every line is taken at time 0 and nothing is integrated.
    theta0
        θ(0) of a response that closes on its own point. With 0 (Itô) such loops vanish and are not generated; else
        nothing but `horizon` bounds the time of a point whose response leg is closed.
    horizon
        T: a free time runs over [0, T] from rest and over the last T before the latest external time of a
        stationary process. From rest no external time may lie beyond.
    degree
        Where the activation was cut off: vertices of a higher `Vertex.degree` exist and are left out. None where the
        vertices are all there are.
    ratio
        About what each order brings at a fixed width order, where the model knows it: σ_w² ⟨φ'²⟩/γ² about the saddle of
        a network; infinite where higher orders are known not to converge one by one. 0 where nothing is known.
    adaptive
        True where the vertices reach further than is likely to matter, and a computation may choose a lower degree.
    no_diagrams
        Why there are none, where this process has no expansion, and what to write instead. Mean-field theory and
        simulation know it by its parameters.
    shared
        What noise histories on one network have in common, a `Shared` or a function that makes it when it is needed;
        None where that is not said. It follows from the rest, and theories are compared without it.

    Raises
    ------
    TheoryError
        If the rules contradict themselves.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> theory
    Theory(linear, stationary: γ = 1, κ = 1, σ_w = 0.5, ...)
    >>> [vertex.name for vertex in theory.interactions]
    ['(1,1)']
    >>> print(theory.rules.splitlines()[0])
    linear, stationary: γ = 1, κ = 1, σ_w = 0.5, ...
    """

    model: str
    start: str
    parameters: Mapping[str, Any] = field(hash=False)
    fields: tuple[Field, ...]
    propagators: tuple[Propagator, ...]
    vertices: tuple[Vertex, ...]
    remarks: tuple[str, ...] = ()
    couplings: Mapping[str, float] = field(default_factory=dict, hash=False)
    timeless: bool = False
    theta0: float = 0.0
    horizon: float = math.inf
    degree: int | None = None
    adaptive: bool = False
    ratio: float = 0.0
    no_diagrams: str = ""
    shared: Shared | Callable[[], Shared] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        kinds = {"fields": Field, "propagators": Propagator, "vertices": Vertex, "remarks": str}
        for name in kinds:
            object.__setattr__(self, name, as_tuple(getattr(self, name)))
        parts = {name: (getattr(self, name), kind) for name, kind in kinds.items()}
        check_parts(self._who, self.start, (self.parameters, self.couplings), parts)
        for name, value in self.couplings.items():
            finite_number(f"coupling {short(name)}", value)
        couplings = {**self.parameters, **self.couplings}
        setting = Setting(self.stationary, self.timeless, self.theta0, self.horizon)
        check_action(self.action, self._who, couplings, setting)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: without a function that makes `shared`, which no worker needs and not all can take."""
        return {**vars(self), "shared": None} if callable(self.shared) else vars(self)

    def __repr__(self) -> str:
        return clipped(f"Theory({self.model}, {self.start}: {self._parameters}") + ")"

    def __str__(self) -> str:
        return self.rules

    def up_to(self, degree: int) -> Theory:
        """The theory with its vertices of a higher degree left out; a parameter ``degree`` says so."""
        degree = whole_number("degree", degree, 0, "3")
        kept = tuple(vertex for vertex in self.vertices if vertex.degree <= degree)
        named = {"degree": degree} if "degree" in self.parameters else {}
        parameters = {**self.parameters, **named}
        return replace(self, parameters=parameters, vertices=kept, degree=degree, adaptive=False)

    def what_is_shared(self) -> Shared:
        """What noise histories on one network have in common.

        Raises
        ------
        InputError
            If the theory does not say so, or cannot.
        TheoryError
            If it says something else.

        Examples
        --------
        >>> import nnqft
        >>> shared = nnqft.theory("linear", N=100, sigma_b=0.3).what_is_shared()
        >>> [float(line(1.0, 0.0)) for line in shared.lines]
        [0.09]
        """
        if self.shared is None:
            raise InputError(
                f"{self._who} does not say what noise histories on one network share, so it has no replicas;"
                " leave replicas out, or give its Theory shared=nnqft.Shared(lines, vertices)"
            )
        shared = self.shared() if callable(self.shared) else self.shared
        if not isinstance(shared, Shared):
            raise TheoryError(f"{self._who}: shared={short(shared)}: wanted an nnqft.Shared")
        check_parts(
            self._who,
            self.start,
            (),
            {"shared.lines": (shared.lines, Propagator), "shared.vertices": (shared.vertices, Vertex)},
        )
        return shared

    @property
    def rules(self) -> str:
        """The Feynman rules as text: fields, propagators, vertices."""
        heading = f"{self.model}, {'stationary' if self.stationary else 'from rest'}: {self._parameters}"
        if self.no_diagrams:
            return f"{heading}\n\nno diagrams: {self.no_diagrams}"
        return print_action(self.action, self.interactions, heading, self.remarks)

    @property
    def _parameters(self) -> str:
        return ", ".join(f"{greek(name)} = {plain_value(value)}" for name, value in self.parameters.items())

    @property
    def _who(self) -> str:
        """What messages call the model."""
        return f"model {self.model!r}"

    @cached_property
    def action(self) -> Action:
        """Fields, propagators and vertices, without the parameters that made them."""
        return Action(self.fields, self.propagators, self.vertices)

    @property
    def stationary(self) -> bool:
        """True when the process begins at −∞."""
        return self.start == "stationary"

    @property
    def N(self) -> int:
        """The width; 1 for a theory without index."""
        return int(self.parameters.get("N", 1))

    @property
    def field_named(self) -> dict[str, Field]:
        """The fields by name."""
        return self.action.field_named

    @property
    def lines(self) -> dict[tuple[str, str], Propagator]:
        """The propagator of each pair of fields, in both orders; bilocal ones are left out.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> theory.lines["z", "h"].name, theory.lines["h", "h"].name
        ('G', 'C')
        """
        return self.action.lines

    @cached_property
    def interactions(self) -> tuple[Vertex, ...]:
        """The vertices with every bilocal line contracted: what diagrams are generated from."""
        return contract_bilocal(self.action, self._who)

    def coupling_value(self, couplings: tuple[tuple[str, int], ...]) -> float:
        """The product of couplings, given by name and power, at this theory's values.

        Raises
        ------
        UnknownNameError
            If there is no coupling of a name.
        InputError
            If these are no pairs of a name and a power.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> theory.coupling_value((("sigma_w", 2),))
        0.25
        """
        values = {**self.parameters, **self.couplings}
        try:
            return float(math.prod(float(values[name]) ** power for name, power in couplings))
        except KeyError as error:
            raise UnknownNameError("coupling", error.args[0], values, f" of model {self.model!r}") from None
        except (TypeError, ValueError, ArithmeticError):
            wanted = "wanted pairs of a coupling's name and its power, write for example (('sigma_w', 2),)"
            raise InputError(f"couplings={short(couplings)}: {wanted}") from None
