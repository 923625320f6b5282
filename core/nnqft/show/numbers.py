"""Numbers, powers and parameters as they are written in tables, rules and titles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

GREEK = {"gamma": "γ", "kappa": "κ", "sigma_w": "σ_w", "sigma_b": "σ_b", "sigma_u": "σ_u", "lambda": "λ"}
"""Parameters that are written in Greek."""
_TITLE = ("N", "gamma", "kappa", "sigma_w", "sigma_b")
_SUPERSCRIPTS = str.maketrans("0123456789-/", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᐟ")


def superscript(power: object) -> str:
    """The number in raised digits: ``"⁻¹"`` for −1."""
    return str(power).translate(_SUPERSCRIPTS)


def plain_value(value: object) -> str:
    """A number to six digits, anything else as it prints."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def greek(name: str) -> str:
    """The name as physicists write it: ``"γ"`` for gamma; itself if it has no such form."""
    return GREEK.get(name, name)


def parameter_line(parameters: Mapping[str, object]) -> str:
    """``gamma=1, sigma_w=0.5, …``, all of them, by the names that a user types."""
    return ", ".join(f"{name}={plain_value(value)}" for name, value in parameters.items() if value is not None)


def parameter_title(parameters: Mapping[str, object], names: Iterable[str] = _TITLE) -> str:
    """``γ=1, σ_w=0.5``, for the title of a figure: those of `names` that are there, in the order of the parameters."""
    chosen = set(names)
    return ", ".join(f"{greek(name)}={plain_value(value)}" for name, value in parameters.items() if name in chosen)


def value_with_error(mean: float, sdev: float, rounding: float = 0.0) -> str:
    """``0.73205(12)``; the plain number if it has no error, 0 if it is below its rounding bound."""
    if not math.isfinite(sdev) or sdev <= 0.0:
        return "0" if abs(mean) <= rounding else f"{mean:.10g}"
    digits = max(0, 1 - math.floor(math.log10(sdev)))
    error = round(sdev * 10**digits)
    return f"{mean:.{digits}f}({error})" if digits < 14 else f"{mean:.12g} ± {sdev:.2g}"


def clipped(text: str, limit: int = 160) -> str:
    """The text on one line, cut where it is longer than that; for reprs, which are read in lists."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def spread(count: int, shown: int) -> list[int]:
    """At most `shown` of the numbers 0 … count−1, the first and the last among them, evenly spread."""
    if count <= shown:
        return list(range(count))
    return sorted({round(n * (count - 1) / (shown - 1)) for n in range(shown)})
