"""Activations by name, as functions of arrays, each with its derivative and the points where it is not smooth.

None overflows for large |h| but `exp`. Those with a Taylor series at 0 have it here, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import erf, expit, ndtr

from nnqft import Activation, InputError, UnknownNameError
from nnqft.threads import digits

_ROOT = math.sqrt(2 / math.pi)
_SELU, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
"""Klambauer et al., arXiv:1706.02515."""


def _tanh_slope(h: np.ndarray) -> np.ndarray:
    return 1 - np.tanh(h) ** 2


def _erf(h: np.ndarray) -> np.ndarray:
    return erf(h)


def _erf_slope(h: np.ndarray) -> np.ndarray:
    return math.sqrt(2) * _ROOT * np.exp(-(h**2))


def _cos_slope(h: np.ndarray) -> np.ndarray:
    return -np.sin(h)


def _arctan_slope(h: np.ndarray) -> np.ndarray:
    return 1 / (1 + h**2)


def _softplus(h: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, h)


def _sigmoid(h: np.ndarray) -> np.ndarray:
    return expit(h)


def _sigmoid_slope(h: np.ndarray) -> np.ndarray:
    return expit(h) * expit(-h)


def _gelu(h: np.ndarray) -> np.ndarray:
    return h * ndtr(h)


def _gelu_slope(h: np.ndarray) -> np.ndarray:
    return ndtr(h) + h * np.exp(-(h**2) / 2) * _ROOT / 2


def _swish(h: np.ndarray) -> np.ndarray:
    return h * expit(h)


def _swish_slope(h: np.ndarray) -> np.ndarray:
    return expit(h) * (1 + h * expit(-h))


def _mish(h: np.ndarray) -> np.ndarray:
    return h * np.tanh(_softplus(h))


def _mish_slope(h: np.ndarray) -> np.ndarray:
    inner = np.tanh(_softplus(h))
    return inner + h * (1 - inner**2) * expit(h)


def _softsign(h: np.ndarray) -> np.ndarray:
    return h / (1 + np.abs(h))


def _softsign_slope(h: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.abs(h)) ** 2


def _relu(h: np.ndarray) -> np.ndarray:
    return np.maximum(h, 0.0)


def _step(h: np.ndarray) -> np.ndarray:
    return np.heaviside(h, 0.5)


def _leaky_relu(h: np.ndarray) -> np.ndarray:
    return np.where(h > 0, h, 0.01 * h)


def _leaky_relu_slope(h: np.ndarray) -> np.ndarray:
    return np.where(h > 0, 1.0, 0.01)


def _elu(h: np.ndarray) -> np.ndarray:
    return np.where(h > 0, h, np.expm1(np.minimum(h, 0.0)))


def _elu_slope(h: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(h, 0.0))


def _selu(h: np.ndarray) -> np.ndarray:
    return _SELU * np.where(h > 0, h, _SELU_ALPHA * np.expm1(np.minimum(h, 0.0)))


def _selu_slope(h: np.ndarray) -> np.ndarray:
    return _SELU * np.where(h > 0, 1.0, _SELU_ALPHA * np.exp(np.minimum(h, 0.0)))


def _hard_tanh(h: np.ndarray) -> np.ndarray:
    return np.clip(h, -1.0, 1.0)


def _hard_tanh_slope(h: np.ndarray) -> np.ndarray:
    return np.where(np.abs(h) < 1, 1.0, 0.0)


def _hard_sigmoid(h: np.ndarray) -> np.ndarray:
    return np.clip(h / 6 + 0.5, 0.0, 1.0)


def _hard_sigmoid_slope(h: np.ndarray) -> np.ndarray:
    return np.where(np.abs(h) < 3, 1 / 6, 0.0)


def _gaussian(h: np.ndarray) -> np.ndarray:
    return np.exp(-(h**2))


def _gaussian_slope(h: np.ndarray) -> np.ndarray:
    return -2 * h * np.exp(-(h**2))


NAMED: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation("tanh", np.tanh, _tanh_slope),
        Activation("erf", _erf, _erf_slope),
        Activation("sin", np.sin, np.cos),
        Activation("cos", np.cos, _cos_slope),
        Activation("arctan", np.arctan, _arctan_slope),
        Activation("softplus", _softplus, _sigmoid),
        Activation("sigmoid", _sigmoid, _sigmoid_slope),
        Activation("gelu", _gelu, _gelu_slope),
        Activation("swish", _swish, _swish_slope),
        Activation("mish", _mish, _mish_slope),
        Activation("gaussian", _gaussian, _gaussian_slope),
        Activation("exp", np.exp, np.exp),
        Activation("relu", _relu, _step, (0.0,)),
        Activation("leaky_relu", _leaky_relu, _leaky_relu_slope, (0.0,)),
        Activation("elu", _elu, _elu_slope, (0.0,)),
        Activation("selu", _selu, _selu_slope, (0.0,)),
        Activation("hard_tanh", _hard_tanh, _hard_tanh_slope, (-1.0, 1.0)),
        Activation("hard_sigmoid", _hard_sigmoid, _hard_sigmoid_slope, (-3.0, 3.0)),
        Activation("softsign", _softsign, _softsign_slope, (0.0,)),
        Activation("abs", np.abs, np.sign, (0.0,)),
        Activation("sign", np.sign, np.zeros_like, (0.0,)),
        Activation("step", _step, np.zeros_like, (0.0,)),
    )
}
"""By the names that the parameter `activation` knows."""

ALIASES = {"silu": "swish", "heaviside": "step", "logistic": "sigmoid", "atan": "arctan", "lrelu": "leaky_relu"}
"""Other names of the same functions."""

NOT_HERE = {
    "identity": "coefficients={1: 1.0}",
    "linear": "coefficients={1: 1.0}",
    "relu6": "activation=lambda h: np.clip(h, 0, 6)",
    "celu": "activation=lambda h: np.where(h > 0, h, np.expm1(np.minimum(h, 0)))",
    "prelu": "activation=lambda h: np.where(h > 0, h, 0.25 * h)",
    "rrelu": "activation=lambda h: np.where(h > 0, h, 0.23 * h)",
    "hardswish": "activation=lambda h: h * np.clip(h / 6 + 0.5, 0, 1)",
    "logsigmoid": "activation=lambda h: -np.logaddexp(0, -h)",
    "tanhshrink": "activation=lambda h: h - np.tanh(h)",
    "softshrink": "activation=lambda h: np.sign(h) * np.maximum(np.abs(h) - 0.5, 0)",
    "hardshrink": "activation=lambda h: np.where(np.abs(h) > 0.5, h, 0)",
}
"""What to write for functions that other libraries have under these names, and none of those above is."""

LINEAR = Activation.polynomial("h", {1: 1.0})
CUBIC_TANH = Activation.polynomial("h − h³/3", {1: 1.0, 3: -1 / 3})


def _series() -> dict[str, Callable[[Any], Any]]:
    """Those that have a Taylor series at 0, as functions of mpmath numbers."""
    import mpmath as mp

    return {
        "tanh": mp.tanh,
        "erf": mp.erf,
        "sin": mp.sin,
        "cos": mp.cos,
        "arctan": mp.atan,
        "softplus": lambda x: mp.log(1 + mp.exp(x)),
        "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
        "gelu": lambda x: x * (1 + mp.erf(x / mp.sqrt(2))) / 2,
        "swish": lambda x: x / (1 + mp.exp(-x)),
        "mish": lambda x: x * mp.tanh(mp.log(1 + mp.exp(x))),
        "gaussian": lambda x: mp.exp(-x * x),
        "exp": mp.exp,
    }


SADDLE_OF_ACTIVATION = "expansion='saddle', averages='activation'"
"""What takes an activation that has no Taylor series, in most models."""


def taylor_coefficients(activation: str, degree: int, instead: str = SADDLE_OF_ACTIVATION) -> dict[int, float]:
    """Non-zero c_p of φ(h) = Σ c_p h^p up to p = degree, by mpmath to full double precision.

    `instead` is what to write for an activation without a Taylor series.

    Raises
    ------
    InputError
        If there is no such activation, or nnqft knows no Taylor series of it at 0.
    """
    import mpmath as mp

    known = _series()
    if activation not in known:
        if activation not in NAMED and ":" not in activation:
            raise UnknownNameError("activation", activation, NAMED)
        why = "not smooth" if activation in NAMED else "a function whose Taylor series is not known here"
        raise InputError(
            f"activation={activation!r} is {why}, so it has no Taylor series at 0 to expand in; write"
            f" {instead}, or give a polynomial instead, coefficients={{1: 1.0, 3: -0.3}}"
        )
    with digits(60):
        series = mp.taylor(known[activation], 0, degree)
        return {p: float(c) for p, c in enumerate(series) if abs(c) > mp.mpf(10) ** -25}
