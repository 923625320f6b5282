"""Named activations as functions of arrays, each with its derivative; none overflows for large |h| but `exp`."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erf, expit, ndtr

from nnqft import Activation


def _tanh_slope(h: np.ndarray) -> np.ndarray:
    return 1 - np.tanh(h) ** 2


def _erf(h: np.ndarray) -> np.ndarray:
    return erf(h)


def _erf_slope(h: np.ndarray) -> np.ndarray:
    return 2 / math.sqrt(math.pi) * np.exp(-(h**2))


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
    return ndtr(h) + h * np.exp(-(h**2) / 2) / math.sqrt(2 * math.pi)


def _swish(h: np.ndarray) -> np.ndarray:
    return h * expit(h)


def _swish_slope(h: np.ndarray) -> np.ndarray:
    return expit(h) * (1 + h * expit(-h))


NAMED: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation("tanh", np.tanh, _tanh_slope),
        Activation("erf", _erf, _erf_slope),
        Activation("sin", np.sin, np.cos),
        Activation("arctan", np.arctan, _arctan_slope),
        Activation("softplus", _softplus, _sigmoid),
        Activation("sigmoid", _sigmoid, _sigmoid_slope),
        Activation("gelu", _gelu, _gelu_slope),
        Activation("swish", _swish, _swish_slope),
        Activation("exp", np.exp, np.exp),
    )
}
"""By the names that the parameter `activation` knows."""

LINEAR = Activation.polynomial("h", {1: 1.0})
CUBIC_TANH = Activation.polynomial("h − h³/3", {1: 1.0, 3: -1 / 3})
