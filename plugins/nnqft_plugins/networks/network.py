"""The network behind a theory: the numbers that simulation and mean-field theory read from its parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nnqft import Activation, InputError, Theory, short
from nnqft.host import default_host, plugin_errors
from nnqft_plugins.networks.adaptation import Adaptation
from nnqft_plugins.networks.weights import Weights, refuse_structure, weights_of

LEAST = 1e-100
"""Noise beside which there is none."""


@dataclass(frozen=True)
class Network:
    """dh_i = [−γ h_i + Σ_j W_ij φ(h_j) + I_i(t) + b_i] dt + √κ dB_i, or a stack of layers with new weights in each.

    Attributes
    ----------
    gamma, kappa, sigma_w, sigma_b : float
        As in the theory.
    inputs : tuple of (rate, weight)
        σ_u² q, the correlation Σ weight·e^{−rate·|t−s|} of what the input brings to each unit.
    C_0 : float
        Variance of h at the start, of layers from rest; else 0.
    N : int
    stationary : bool
    layered : bool
        New weights at every depth.
    activation : Activation
    adaptation : Adaptation or None
        The second variable of each unit, if it has one.
    weights : Weights or None
        The structure of W; None if all its entries are independent and alike.
    """

    gamma: float
    kappa: float
    sigma_w: float
    sigma_b: float
    inputs: tuple[tuple[float, float], ...]
    C_0: float
    N: int
    stationary: bool
    layered: bool
    activation: Activation
    adaptation: Adaptation | None = None
    weights: Weights | None = None

    def __post_init__(self) -> None:
        for name, value, least in (("kappa", self.kappa, LEAST), ("sigma_b", self.sigma_b, LEAST**0.5)):
            if 0.0 < value < least:
                raise InputError(
                    f"{name}={value:g}: wanted 0 or at least {least:g}; its square is no number; write 0.0"
                )

    @property
    def sources(self) -> tuple[tuple[float, float], ...]:
        """(rate, weight) of the Gaussian drive of each unit, bias and input; none for layers, whose bias is white."""
        drives = self.inputs if self.layered else ((0.0, self.sigma_b**2), *self.inputs)
        return tuple((rate, weight) for rate, weight in drives if weight > 0.0)

    @property
    def static(self) -> float:
        """Weight of the drive that never changes."""
        return sum(weight for rate, weight in self.sources if rate == 0.0)

    def with_gain(self, c: float) -> Network:
        """The network with φ = h that one with φ = c h is; random weights are as likely as their negatives."""
        weights = None if self.weights is None else self.weights.scaled(c)
        return replace(self, sigma_w=self.sigma_w * abs(c), weights=weights)

    @property
    def units(self) -> slice:
        """The units that are looked at: those of one population, or all."""
        return slice(0, self.N) if self.weights is None else self.weights.units(self.N)

    @property
    def noise(self) -> float:
        """Strength of all white noise: κ, for layers with their bias."""
        return self.kappa + (self.sigma_b**2 if self.layered else 0.0)


def network_of(
    theory: Theory, activation: Activation | None = None, *, adapting: str = "", structured: bool = False
) -> Network:
    """The network of a theory.

    Parameters
    ----------
    activation
        Instead of the model's own; for a model that is not installed as a plugin.
    adapting
        What cannot be said of units with adaptation, which are then refused; empty where they are welcome.
    structured
        Whether W may have structure, which is else refused.

    Raises
    ------
    InputError
        If the model has no true activation, or this is no theory.
    """
    if not isinstance(theory, Theory):
        raise InputError(f"theory={short(theory)}: wanted a Theory, write nnqft.theory('linear', N=100, sigma_w=0.5)")
    if activation is not None and not isinstance(activation, Activation):
        wanted = "wanted an Activation, or None for the model's own; a function is a parameter of the model"
        raise InputError(f"activation={short(activation)}: {wanted}, write nnqft.theory('taylor', activation=f)")
    phi = activation or _own_activation(theory)
    values = theory.parameters
    for name in ("gamma", "sigma_w"):
        if name not in values:
            raise InputError(f"model {theory.model!r} has no parameter {name!r}: it is no random network")
    if not structured:
        refuse_structure(values, "this calculation", "leave it out, or write nnqft compute or nnqft simulate")
    layered = bool(theory.interactions) and all(vertex.points == 1 for vertex in theory.interactions)
    q, strength = values.get("q", 0.0), float(values.get("sigma_u", 0.0)) ** 2
    given = q if isinstance(q, tuple) else ((0.0, q),)
    return Network(
        gamma=float(values["gamma"]),
        kappa=float(values.get("kappa", 0.0)),
        sigma_w=float(values["sigma_w"]),
        sigma_b=float(values.get("sigma_b", 0.0)),
        inputs=tuple((float(rate), strength * float(weight)) for rate, weight in given if strength * weight > 0.0),
        C_0=float(values.get("C_0", 0.0)),
        N=theory.N,
        stationary=theory.stationary,
        layered=layered,
        activation=phi,
        adaptation=_adaptation(theory, adapting),
        weights=weights_of(values),
    )


def _adaptation(theory: Theory, refused: str) -> Adaptation | None:
    values = theory.parameters
    if not {"gamma_a", "beta"} <= set(values):
        return None
    if refused:
        raise InputError(f"model {theory.model!r}: {refused} of units with adaptation is not known; take 'taylor'")
    return Adaptation(float(values["gamma_a"]), float(values["beta"]))


_GIVE = "write activation=nnqft.Activation(name, value, slope)"


def _own_activation(theory: Theory) -> Activation:
    host = default_host()
    if theory.model not in host.found["model"]:
        raise InputError(f"model {theory.model!r} is not installed as a plugin; {_GIVE}")
    model = host.get("model", theory.model)
    with plugin_errors(f"activation of model {theory.model!r}"):
        phi = model.activation(theory.parameters)
    if phi is None:
        rather = f"take 'taylor', or in Python {_GIVE}"
        raise InputError(f"model {theory.model!r} gives no activation, only Feynman rules; {rather}")
    if not isinstance(phi, Activation):
        raise InputError(f"activation of model {theory.model!r} returned {short(phi)}, wanted an nnqft.Activation")
    return phi
