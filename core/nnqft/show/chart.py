"""A chart of curves with errors, drawn by matplotlib, whatever the numbers are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nnqft.checks import instance_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve, or points.

    Attributes
    ----------
    x, y : (M,) arrays
    error : (M,) array or None
        Standard deviations; drawn as bars, or as a band.
    style : str
        Line and marker as matplotlib writes them: ``"-"``, ``"--"``, ``".-"``, ``"o"``.
    errors : "bars" or "band"
    colour : str or None
        None takes the next one.
    """

    x: np.ndarray
    y: np.ndarray
    error: np.ndarray | None = None
    label: str = ""
    style: str = "-"
    errors: Literal["bars", "band"] = "bars"
    colour: str | None = None
    alpha: float = 1.0


@dataclass(frozen=True, eq=False)
class Chart:
    """Curves in one pair of axes.

    Attributes
    ----------
    curves : sequence of Curve
    title, x_label, y_label : str
    ticks : sequence of str
        Names in place of the numbers 0, 1, … along x; none if empty.
    levels : sequence of (height, label)
        Horizontal lines.
    """

    curves: Sequence[Curve]
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    ticks: Sequence[str] = ()
    levels: Sequence[tuple[float, str]] = ()

    def draw(self, ax: Axes | None = None) -> Axes:
        """Draw on these axes, or on those of a new figure; the axes are returned."""
        ax = axes_or_new(ax)
        for curve in self.curves:
            _draw(curve, ax)
        for height, label in self.levels:
            ax.axhline(height, color="0.7", linestyle="--", linewidth=1, label=label)
        if self.ticks:
            ax.set_xticks(np.arange(len(self.ticks)), self.ticks)
            ax.margins(x=0.15, y=0.2)
        ax.set_xlabel(self.x_label)
        ax.set_ylabel(self.y_label)
        ax.set_title(self.title, fontsize="medium")
        if ax.get_legend_handles_labels()[1]:
            ax.legend(frameon=False)
        return ax


def axes_or_new(ax: Axes | None, width: float = 6.4, height: float = 4.2) -> Axes:
    """The axes, InputError if they are none, or those of a new figure, without a window, of this size in inches."""
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    if ax is not None:
        return instance_of("ax", ax, Axes, "ax=plt.subplots()[1]")
    return Figure(figsize=(width, height), layout="constrained").subplots()


def _draw(curve: Curve, ax: Axes) -> None:
    rank = np.argsort(curve.x, kind="stable")
    x, y = curve.x[rank], curve.y[rank]
    error = None if curve.error is None else curve.error[rank]
    look: dict[str, Any] = {"color": curve.colour, "alpha": curve.alpha, "label": curve.label or None}
    if error is None or curve.errors == "band":
        # A band without a curve of its own has the label.
        label = look.pop("label") if not curve.style else None
        (line,) = ax.plot(x, y, curve.style, markersize=14 if curve.style == "_" else None, **look)
        if error is not None and error.any():
            ax.fill_between(x, y - error, y + error, color=line.get_color(), alpha=0.3, linewidth=0, label=label)
    else:
        ax.errorbar(x, y, yerr=error, fmt=curve.style, capsize=2.5, **look)
