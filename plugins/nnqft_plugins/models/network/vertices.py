"""How an activation that expands in powers of h makes vertices."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from nnqft import Leg, Vertex

HALF = Fraction(1, 2)
WEIGHTS = Vertex("W z z", (Leg("W", (0, 1)), Leg("z", 0, "i"), Leg("z", 1, "i")), HALF, (("sigma_w", 1),), HALF, HALF)


def phi_phi_of(phi: Mapping[int, Fraction | float]) -> dict[tuple[int, int], Fraction | float]:
    """φ(h1) φ(h2) for φ(h) = Σ phi[p] h^p, over pairs p ≤ q."""
    return {(p, q): phi[p] * phi[q] for p in sorted(phi) for q in sorted(phi) if p <= q}


def network_vertices(
    phi_phi: Mapping[tuple[int, int], Fraction | float], subtraction: str = "none", cut: bool = False
) -> tuple[Vertex, ...]:
    """𝔚 z̃ z̃ and one 𝔚̃ h^p h^q for each pair, of which the average is subtracted if wanted.

    `cut` says that there were higher powers: then a vertex tells its own.
    """
    activations = [
        Vertex(
            f"({p},{q})",
            (Leg("W~", (0, 1)), *(Leg("h", n, "j", power) for n, power in enumerate((p, q)) if power)),
            (HALF if p == q else 1) * coefficient,
            (("sigma_w", 1),),
            HALF,
            HALF,
            subtraction=subtraction,
            degree=max(p, q) if cut else 0,
        )
        for (p, q), coefficient in phi_phi.items()
        if q > 0
    ]
    if (0, 0) in phi_phi and subtraction == "none":
        # φ(0)² has no field left to carry the index j: its sum cancels the 1/N. It is nothing but its average.
        legs = (Leg("z", 0, "i"), Leg("z", 1, "i"))
        activations.append(Vertex("(0,0)", legs, HALF * phi_phi[0, 0], (("sigma_w", 2),)))
    return (WEIGHTS, *activations)
