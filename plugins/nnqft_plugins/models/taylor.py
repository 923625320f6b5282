"""The network with any activation, by its Taylor coefficients at 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnqft import AbstractModel, Activation, InputError, Parameter, Theory
from nnqft_plugins.models.network import PARAMETERS, network_theory, phi_phi_of, wick_theory
from nnqft_plugins.models.parameters import ACTIVATION, MAX_DEGREE, activation_of, one_of, phi_of

AVERAGES: dict[str, Parameter] = {
    "averages": Parameter(
        "polynomial",
        "saddle: Gaussian averages of φ's polynomial, or of the activation itself",
        check=one_of("polynomial", "activation"),
    )
}


def _check_averages(start: str, values: Mapping[str, Any]) -> None:
    """Averages of the activation itself need the lines and vertices that go with them."""
    asked = "averages='activation'"
    if values["expansion"] != "saddle":
        raise InputError(f"{asked} belongs to expansion='saddle'; write that, too, or leave averages out")
    if values["tadpoles"] == "kept":
        raise InputError(f"{asked} has no tadpoles to keep: they are in its vertices; write tadpoles='cancelled'")
    if start != "stationary":
        raise InputError(f"{asked} is for a stationary start; from rest write averages='polynomial'")
    if values["degree"] > MAX_DEGREE:
        raise InputError(f"degree={values['degree']}: wanted at most {MAX_DEGREE}")


class Taylor(AbstractModel):
    """φ(h) = Σ c_p h^p: one vertex for each pair of powers; even powers and a constant make tadpoles."""

    name = "taylor"
    summary = "random network with any activation, by name and degree or by Taylor coefficients"
    parameters = PARAMETERS | ACTIVATION | AVERAGES

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """All vertices (p, q) of φφ, or Wick-ordered ones of the activation itself."""
        if values["averages"] == "activation":
            _check_averages(start, values)
            degree = 2 * max(phi_of(values)) if values["coefficients"] is not None else values["degree"]
            return wick_theory(self.name, values, activation_of(values), degree)
        values = {name: value for name, value in values.items() if name != "averages"}
        phi = phi_of(values)
        polynomial = Activation.polynomial("Σ c_p h^p", phi)
        return network_theory(self.name, start, values, phi_phi_of(phi), polynomial)

    def activation(self, values: Mapping[str, Any]) -> Activation:
        """The named function, whatever `degree` the rules keep; or the polynomial of the coefficients."""
        return activation_of(values)
