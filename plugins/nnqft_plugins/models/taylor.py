"""The network with any activation, by its Taylor coefficients at 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from nnqft import AbstractModel, Activation, Parameter, Theory
from nnqft_plugins.models.network.rules import (
    AVERAGES,
    NONLINEAR,
    activation_theory,
    network_theory,
)
from nnqft_plugins.models.network.vertices import phi_phi_of
from nnqft_plugins.models.parameters.checks import (
    ACTIVATION,
    activation_of,
    check_degree,
    check_one,
    phi_of,
    polynomial_name,
)

BARE_DEGREE = 5
"""Highest power of h of a named activation where nobody asks for one."""


class Taylor(AbstractModel):
    """Any φ, by name or as φ(h) = Σ c_p h^p: one vertex for each pair of powers, or of derivatives about the saddle."""

    name = "taylor"
    summary = "random network with any activation, by name or by Taylor coefficients"
    parameters = (
        NONLINEAR
        | ACTIVATION
        | {
            "activation": replace(
                ACTIVATION["activation"], meaning=f"{ACTIVATION['activation'].meaning}; tanh if nothing is given"
            ),
            "degree": Parameter(
                None,
                "saddle: highest degree of Wiener's chaos, chosen if not given; bare: highest power of h, 5",
                check=check_degree,
            ),
        }
        | AVERAGES
    )

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """Wick-ordered vertices of the activation itself, or all vertices (p, q) of the powers of φφ."""
        check_one(values)
        if values["coefficients"] is None and values["activation"] is None:
            values = {**values, "activation": "tanh"}
        phi, degree = activation_of(values), values["degree"]
        return activation_theory(self.name, start, values, phi, degree, partial(self._by_powers, start))

    def _by_powers(self, start: str, values: Mapping[str, Any]) -> Theory:
        cut = None
        if values["coefficients"] is None:
            cut = values["degree"] or BARE_DEGREE
            values = {**values, "degree": cut}
        phi = phi_of(values)
        if values["coefficients"] is not None and values["degree"] is not None and max(phi) > values["degree"]:
            cut = values["degree"]
            phi = {p: c for p, c in phi.items() if p <= cut}
        polynomial = Activation.polynomial(polynomial_name(phi), phi)
        return network_theory(self.name, start, values, phi_phi_of(phi), polynomial, cut)

    def activation(self, values: Mapping[str, Any]) -> Activation:
        """The named function, whatever `degree` the rules keep; or the polynomial of the coefficients."""
        return activation_of(values)
