"""Stationary values at lags beyond a grid: an exponential goes on, down to a constant if there is one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Values = tuple[np.ndarray, np.ndarray]

_PARTS = (0.5, 0.75, 1.0)
"""Lags that tell how it goes on, over the longest."""
_LEAST = 1e-12


def far(
    ask: Callable[[np.ndarray], Values], times: np.ndarray, reach: float, constant: bool, causal: bool = False
) -> Values:
    """Values and errors at (M, 2) times whose lags may be longer than the reach of what is asked.

    Parameters
    ----------
    ask
        From (M, 2) times to values and errors.
    times, reach
        All times; lags beyond the reach are not asked for.
    constant
        What is asked for comes down to a constant, which three lags within the reach tell by Aitken's process; its
        error is half of what was still to come. Else it comes down to 0, and all that lies beyond may be wrong.
    causal
        It vanishes for lags below 0.
    """
    lags = times[:, 0] - times[:, 1]
    beyond = np.abs(lags) > reach
    if not beyond.any():
        return ask(times)
    ends = np.array([[part * reach, 0.0] for part in _PARTS])
    values, errors = ask(np.concatenate([np.where(beyond[:, None], 0.0, times), ends]))
    one, two, three = values[-3:]
    more = (np.abs(lags) - reach) / ((_PARTS[2] - _PARTS[1]) * reach)
    if constant:
        first, last = two - one, three - two
        ratio = last / first if abs(first) > _LEAST * np.abs(values).max() else 0.0
        fallen = 0.0 < ratio < 1.0
        end = three + last * ratio / (1 - ratio) if fallen else three
        after = end + (three - end) * (ratio**more if fallen else 0.0 * more)
        missing = np.full(len(lags), 0.5 * abs(three - end) + errors[-1] + (0.0 if fallen else abs(last)))
    else:
        ratio = min(abs(three / two), 1.0) if two else 0.0
        after = three * ratio**more
        missing = np.abs(after) + errors[-1] * ratio**more
    if causal:
        after, missing = (np.where(lags < 0, 0.0, each) for each in (after, missing))
    return np.where(beyond, after, values[:-3]), np.where(beyond, missing, errors[:-3])
