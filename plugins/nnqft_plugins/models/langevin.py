"""One site without disorder: dx = [−Σ_p a_p x^p + η(t)] dt + √D(x) dB, with a polynomial drift and noise."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial

from nnqft import (
    AbstractModel,
    Field,
    InputError,
    Leg,
    Parameter,
    Propagator,
    Shared,
    Term,
    Theory,
    Vertex,
    finite_number,
    short,
)
from nnqft_plugins.models.network.lines import combine, driven_terms
from nnqft_plugins.models.parameters.checks import (
    SLOWEST,
    coefficients_such_as,
    input_correlation,
    one_of,
)

_POWERS = coefficients_such_as("{0: 2.0, 2: 0.5}")


def check_noise(name: str, value: Any) -> float | tuple[tuple[int, float], ...]:
    """A number ≥ 0, or the (power, coefficient) pairs of a polynomial in x whose constant is ≥ 0."""
    plain = not isinstance(value, Mapping | tuple | list | np.poly1d) and not hasattr(value, "coef")
    noise = finite_number(name, value, "2.0") if plain else _POWERS(name, value)
    assert noise is not None
    constant = noise if isinstance(noise, float) else dict(noise).get(0, 0.0)
    if not 0 <= constant <= 1e9:
        raise InputError(f"{name}={short(value)}: wanted a number from 0 to 1e9 at x = 0, write for example {name}=2.0")
    return noise


class Langevin(AbstractModel):
    """Langevin equation with polynomial drift and noise; linear drift and constant noise are in the lines."""

    name = "langevin"
    summary = "one site, no disorder: dx = −Σ_p drift[p] x^p dt + √noise dB; order counts vertices"
    parameters: Mapping[str, Parameter] = {
        "drift": Parameter(
            {1: 1.0, 3: 1.0}, "{power: coefficient}, 1/time", check=coefficients_such_as("{1: 1.0, 3: 1.0}")
        ),
        "noise": Parameter(
            2.0, "2D, 1/time: a number, or {power: coefficient} for noise that depends on x", check=check_noise
        ),
        "calculus": Parameter(
            "ito", "how noise that depends on x is meant: ito or stratonovich", check=one_of("ito", "stratonovich")
        ),
        "coloured": Parameter(
            0.0,
            "noise with a memory: {rate: variance} of Ornstein-Uhlenbeck processes added to the drift, or the"
            " variance of one that never changes",
            check=input_correlation,
        ),
        "x_0": Parameter(0.0, "from rest: mean of x at the start", low=-1e9, high=1e9),
        "C_0": Parameter(0.0, "from rest: variance of x at the start", low=0.0),
    }

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """One local vertex −a_p z̃ x^p for each power of the drift but the first, ½ d_p z̃² x^p for the noise's."""
        if start == "stationary" and values["C_0"]:
            raise InputError(f"C_0={values['C_0']:g} is the variance at the start; write start='rest', or leave it out")
        if start == "stationary" and values["x_0"]:
            raise InputError(f"x_0={values['x_0']:g} is the mean at the start; write start='rest', or leave it out")
        noise = values["noise"] if isinstance(values["noise"], tuple) else ((0, values["noise"]),)
        powers = {p: d for p, d in noise if p}
        drift = ito_drift(dict(values["drift"] or ()), powers, values["calculus"])
        mu = drift.pop(1, 0.0)
        if mu < SLOWEST:
            raise InputError(_why_not(drift | {1: mu}, mu))
        return Theory(
            model=self.name,
            start=start,
            # What was left as it is by default, and changes nothing, would only crowd every heading.
            parameters={n: v for n, v in values.items() if v and (n != "calculus" or powers)}
            | {"noise": values["noise"]},
            fields=(
                Field("h", "x(t)", "position"),
                Field("z", "x̃(t)", "response field", response=True),
                *([Field("o", "o", "end of a line at the start")] if values["x_0"] else []),
            ),
            propagators=(
                _correlator(start, mu, dict(noise).get(0, 0.0), values),
                Propagator("G", "h", "z", "θ(t−s) e^{−μ(t−s)},  θ(0) = 0", (Term(1.0, mu),)),
                *([Propagator("M", "h", "o", "e^{−μt}", (Term(1.0, mu, mu),))] if values["x_0"] else []),
            ),
            vertices=(
                *(Vertex(f"z x^{p}", (Leg("z"), *_legs(p)), -1, ((f"drift[{p}]", 1),)) for p in drift),
                *(
                    Vertex(f"z^2 x^{p}", (Leg("z", power=2), *_legs(p)), Fraction(1, 2), ((f"noise[{p}]", 1),))
                    for p in powers
                ),
                # As many as there are legs to end: of order 0, they leave the order to the vertices proper.
                *([Vertex("x_0", (Leg("o"),), 1, (("x_0", 1),), order=0)] if values["x_0"] else []),
            ),
            couplings={f"drift[{p}]": a for p, a in drift.items()} | {f"noise[{p}]": d for p, d in powers.items()},
            remarks=_remarks(noise, powers, values["calculus"]),
            shared=Shared(),  # nothing is drawn but noise
        )


def _legs(power: int) -> tuple[Leg, ...]:
    return (Leg("h", power=power),) if power else ()


def ito_drift(drift: dict[int, float], noise: Mapping[int, float], calculus: str) -> dict[int, float]:
    """The drift of Itô's equation, {power: coefficient}: Stratonovich's less a quarter of D'(x)."""
    if calculus == "stratonovich":
        for p, d in noise.items():
            drift[p - 1] = drift.get(p - 1, 0.0) - p * d / 4
    return {p: a for p, a in sorted(drift.items()) if a or p == 1}


def _correlator(start: str, mu: float, noise: float, values: Mapping[str, Any]) -> Propagator:
    """C of dx = (−μ x + η) dt + √noise dB."""
    given = values["coloured"]
    variance = noise / (2 * mu)
    terms = [Term(variance, mu), Term(values["C_0"] - variance, mu, 2 * mu)]
    for rate, weight in given if isinstance(given, tuple) else ((0.0, given),):
        terms += driven_terms(mu, rate, weight)
    formula = "(noise/2μ) e^{−μ|t−s|}"
    if start == "stationary":
        terms = [term for term in terms if not term.early]
    else:
        formula = "(noise/2μ) (e^{−μ|t−s|} − e^{−μ(t+s)})" + " + C_0 e^{−μ(t+s)}" * bool(values["C_0"])
    return Propagator("C", "h", "h", formula + " + ∬ G G ⟨ηη⟩" * bool(given), combine(terms))


def _remarks(noise: tuple[tuple[int, float], ...], powers: Mapping[int, float], calculus: str) -> tuple[str, ...]:
    """How noise that depends on x is meant, and where it would be negative."""
    if not powers:
        return ()
    quarter = "D(x) = Σ_p noise[p] x^p"
    said = {
        "ito": f"√D(x) dB with {quarter} in Itô's sense; calculus='stratonovich' takes D'(x)/4 off the drift[p] x^p",
        "stratonovich": f"√D(x) dB with {quarter} in Stratonovich's sense: the drift has −D'(x)/4 more in Itô's",
    }[calculus]
    form = Polynomial([dict(noise).get(p, 0.0) for p in range(max(powers) + 1)])
    # Where it is lowest: at a root of its slope, or far out on either side.
    turns = [complex(root) for root in form.deriv().roots().tolist()]
    places = [root.real for root in turns if abs(root.imag) <= 1e-9 * (1 + abs(root))]
    far = 1e3 * (1 + max((abs(root) for root in form.roots().tolist()), default=0.0))
    negative = [x for x in [0.0, *places, -far, far] if form(x) < -1e-12 * abs(form.coef).max()]
    if not negative:
        return (said,)
    return (said, "the noise is negative for some x: the sum describes a process only if it never comes there")


def _why_not(drift: Mapping[int, float], mu: float) -> str:
    """Why there is no expansion about x = 0, and what to write instead: x shifted to a minimum, where there is one."""
    force = Polynomial([drift.get(p, 0.0) for p in range(max(drift, default=0) + 1)])
    first = min((power for power, c in drift.items() if c), default=0)
    if mu >= 0 and first % 2 and drift[first] > 0:
        more = "about which nothing decays; wanted drift[1] > 0, write for example drift={1: 1.0, 3: 1.0}"
        return f"drift[1]={mu:g}: x = 0 is a minimum of the potential without curvature, {more}"
    came = f"drift[1]={mu:g}: x = 0 is no minimum of the potential"
    roots = force.roots()
    real = [float(root.real) for root in roots.tolist() if abs(complex(root).imag) <= 1e-9 * (1 + abs(root))]
    stable = [(float(force.deriv()(root)), root) for root in real if force.deriv()(root) >= max(SLOWEST, 1e-6)]
    if not stable:
        flat = any(force.deriv()(root) > 0 for root in real)
        none = "those it has are almost flat" if flat else "it has none"
        return f"{came}, and {none}; wanted drift[1] > 0, write for example drift={{1: 1.0, 3: 1.0}}"
    _, minimum = max(stable)
    moved = force(Polynomial([minimum, 1.0])).coef
    shifted = ", ".join(f"{p}: {c:.10g}" for p, c in enumerate(moved) if p and abs(c) > 1e-12 * abs(moved).max())
    others = f" (one of {len(stable)})" if len(stable) > 1 else ""
    return f"{came}; shift x to a minimum: with x = {minimum:.10g} + y{others} write drift={{{shifted}}}"
