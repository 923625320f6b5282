"""What a simulation is to do: its method, its steps, and how long a path is left alone and looked at."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from nnqft import InputError, Theory, UnknownNameError, short, whole_number
from nnqft.checks import positive_number, true_or_false
from nnqft_plugins.networks.meanfield import solve
from nnqft_plugins.networks.meanfield.kinds import has_slopes
from nnqft_plugins.networks.network import Network
from nnqft_plugins.networks.simulation.asked import TANGENT, Asked
from nnqft_plugins.networks.simulation.measurement import Ensemble
from nnqft_plugins.networks.simulation.schedule import spacing_for

METHODS = ("auto", "exact", "heun", "euler", "layers")


def choose(
    theory: Theory, network: Network, asked: Asked, method: str,
    step: Any, layer: Any, burn: Any, window: Any, kernel: bool, seed: Any,
) -> Ensemble:  # fmt: skip
    """The ensemble, after everything a user may have got wrong was checked.

    Raises
    ------
    InputError
        If a method, a step or what is asked does not go with the network.
    """
    scheme = _scheme(network, method)
    tangent = asked.observable in TANGENT
    if tangent and scheme != "exact":
        _check_tangents(network, asked.observable)
    kernel = true_or_false("kernel", kernel)
    if kernel and (asked.polynomials is not None or asked.observable == "response"):
        raise InputError(f"kernel=True is for 'two_point' and 'gradient', not {asked.observable!r}; leave it out")
    gain = _linear_gain(network) if scheme == "exact" else None
    ensemble = Ensemble(
        network=network if gain is None else network.with_gain(gain),
        times=tuple(tuple(float(t) for t in row) for row in asked.rows),
        moments=asked.moments,
        response=asked.observable == "response",
        gradient=asked.observable in ("gradient", "gradient_variance"),
        spread=asked.observable == "gradient_variance",
        kernel=kernel,
        scheme=scheme,
        seed=whole_number("seed", seed, 0),
    )
    if scheme == "exact":
        _refuse("exact networks have no steps", step=step, layer=layer, burn=burn, window=window)
        return ensemble
    if layer is not None and scheme != "layers":
        raise InputError("layer is for model 'feedforward'; write step=… for the step of a path")
    unit = network.adaptation
    scale = 1 / max(network.gamma, network.sigma_w, 0.0 if unit is None else math.sqrt(unit.rate * unit.strength))
    longest = (0.02 if scheme == "layers" else 0.1) * scale if step is None else positive_number("step", step)
    ensemble = replace(ensemble, step=longest, refined=True, begin=network.C_0)
    if layer is not None:
        _refuse("a stack with layers of a given depth has no other step", step=step)
        ensemble = replace(ensemble, step=_layer_depth(network, layer), refined=False)
    if network.stationary:
        ensemble = _stationary(theory, ensemble, burn, window)
    else:
        _refuse("from rest nothing is left out and nothing repeated", burn=burn, window=window)
    if layer is not None:
        _check_whole_layers(ensemble)
    return ensemble


def _scheme(network: Network, method: str) -> str:
    if not isinstance(method, str) or method not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    linear = _linear_gain(network) is not None
    if network.layered:
        if method not in ("auto", "layers"):
            raise InputError(f"method={method!r}: layers are simulated by method='layers'")
        return "layers"
    if method == "layers":
        raise InputError("method='layers' is for model 'feedforward'; write method='heun'")
    if method == "exact" and not linear:
        raise InputError(
            f"method='exact' is for linear networks, not φ = {network.activation.name}; write method='heun'"
        )
    if method == "auto":
        return "exact" if linear else "heun"
    return method


def _linear_gain(network: Network) -> float | None:
    """c of φ(h) = c h; None for any other φ."""
    c = network.activation.coefficients
    if network.layered or network.adaptation is not None or c is None:
        return None
    return c[1] if len(c) > 1 and not any(x for p, x in enumerate(c) if p != 1) else None


def _stationary(theory: Theory, ensemble: Ensemble, burn: Any, window: Any) -> Ensemble:
    """Begin with the variance of mean-field theory, and let pass what it takes to forget that."""
    network = ensemble.network
    try:
        solution = solve(theory, rtol=1e-4, activation=network.activation)
        variance = solution.variance
        rates = [solution.decay_rate, abs(solution.lyapunov)]
        slowest = max([1.0, *(min(1 / rate, 20 / network.gamma) * network.gamma for rate in rates if rate > 0)])
    except InputError:  # no such solution: networks of finite width may still live long
        variance, slowest = network.kappa / (2 * network.gamma) + network.static / network.gamma**2, 5.0
    if network.adaptation is not None:
        slowest = max(slowest, network.gamma / network.adaptation.rate)
    memory = slowest / network.gamma
    lags = np.array([t - min(times) for times in ensemble.times for t in times])
    spacing = spacing_for(lags, 0.5 * memory)
    if ensemble.tangent:  # one tangent begins when another has ended
        spacing = max(spacing, float(lags.max()))
    if not ensemble.refined:
        spacing = ensemble.step * math.ceil(spacing / ensemble.step - 1e-9)
    burned = 10 * memory if burn is None else positive_number("burn", burn)
    if not ensemble.refined:
        burned = ensemble.step * math.ceil(burned / ensemble.step - 1e-9)
    return replace(
        ensemble,
        begin=variance,
        burn=burned,
        window=20 * memory if window is None else positive_number("window", window),
        spacing=spacing,
    )


def _check_tangents(network: Network, observable: str) -> None:
    """Refuse what has no tangent, or none that is known here."""
    if network.layered or network.adaptation is not None:
        kind = "layers" if network.layered else "units with adaptation"
        raise InputError(f"{observable}: not simulated for {kind}; write observable='two_point'")
    if not has_slopes(network.activation):
        raise InputError(f"{observable}: φ = {network.activation.name} jumps, and small changes grow without bound")


def _layer_depth(network: Network, layer: Any) -> float:
    depth = positive_number("layer", layer)
    if depth >= 2 / network.gamma:
        raise InputError(f"layer={short(layer)}: wanted a depth below 2/γ={2 / network.gamma:g}")
    return depth


def _check_whole_layers(ensemble: Ensemble) -> None:
    for times in ensemble.times:
        for depth in [t - min(times) if ensemble.network.stationary else t for t in times]:
            if abs(depth / ensemble.step - round(depth / ensemble.step)) > 1e-6:
                raise InputError(f"depth {depth:g} is no multiple of layer={ensemble.step:g}; write times that are")


def _refuse(why: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name}={short(value)}: {why}; leave it out")
