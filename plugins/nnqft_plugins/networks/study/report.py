"""The study's tables, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nnqft.show.numbers import value_with_error
from nnqft_plugins.networks.study.plan import Settings
from nnqft_plugins.networks.study.rows import Row, Size


def markdown(settings: Settings, rows: Sequence[Row], sizes: Sequence[Size], figures: Sequence[str]) -> str:
    """The whole report as Markdown."""
    parts = [
        "# Test it!",
        f"ξ = 2 C/κ in units of 1/γ, with C = ⟨h_i²⟩; γ = 1, no bias. Published: the talk's formula with"
        f" T = {settings.horizon:g}/γ.",
        "## Loop-corrected ξ and simulated networks",
        headline(rows),
        "## How big is O(1)? How big is O(1/N)?",
        size_table(sizes),
        "## Error budget",
        budget(rows),
    ]
    if notes := _notes(rows):
        parts.append("\n".join(f"* {note}" for note in notes))
    parts += [f"![{name}]({name})" for name in figures]
    return "\n\n".join(parts) + "\n"


def headline(rows: Sequence[Row]) -> str:
    """Every way to know ξ, a row for each network."""
    heading = (
        "network", "σ_w²", "N", "simulated", "N → ∞", "sum of diagrams", "± left open", "agree", "by Padé",
        "resummed to 1/N", "and wider diagrams", "published", "published, T/N = 0",
    )  # fmt: skip
    return _table(
        heading,
        (
            (
                row.kind.title, f"{row.coupling:g}", row.N, _simulated(row), f"{row.infinite:.4f}",
                f"{row.sum.value:.4f}", f"{row.sum.error:.1g}", _verdict(row), f"{row.sum.by_pade:.4f}",
                f"{row.resummed:.4f}", f"{row.best:.4f} ± {row.best_error:.1g}", f"{row.published:.4f}",
                f"{row.published_flat:.4f}",
            )
            for row in rows
        ),
    )  # fmt: skip


def size_table(sizes: Sequence[Size]) -> str:
    """O(1) and O(1/N), predicted and measured, and the talk's."""
    heading = (
        "network", "σ_w²", "O(1): cacti, ξ_∞/ξ_free − 1", "O(1/N): mushrooms × N", "the same, simulated",
        "published O(1): beyond ξ_∞", "published O(T/N) × N",
    )  # fmt: skip
    return _table(
        heading,
        (
            (
                size.kind.title, f"{size.coupling:g}", f"{size.cacti:+.3f}", f"{size.mushrooms:+.3f}",
                value_with_error(size.fitted, size.fitted_error) + ("" if size.trusted else " †"),
                f"{size.published_cacti:+.3f}", f"{size.published_depth:+.3f}",
            )
            for size in sizes
        ),
    )  # fmt: skip


def budget(rows: Sequence[Row]) -> str:
    """Where the errors come from, and how far sum and simulation are apart."""
    heading = (
        "network", "σ_w²", "N", "sum − simulated", "simulation: statistics", "step", "networks", "integrals",
        "last order", "Padé − sum", "degree of φ", "resummed: error",
    )  # fmt: skip
    return _table(
        heading,
        (
            (
                row.kind.title, f"{row.coupling:g}", row.N, f"{row.sum.value - row.simulated:+.1e}",
                f"{row.statistics:.1e}", _small(row.step), row.networks, _small(row.sum.sampling),
                f"{row.sum.last:.1e}", f"{row.sum.pade:.1e}", _small(row.sum.degree), _small(row.resummed_error),
            )
            for row in rows
        ),
    )  # fmt: skip


def _verdict(row: Row) -> str:
    return ("yes" if row.agrees else "no") + (" †" if row.heavy or row.discarded else "")


def _simulated(row: Row) -> str:
    return value_with_error(row.simulated, row.simulation_error) + (" †" if row.heavy or row.discarded else "")


def _small(value: float) -> str:
    return f"{value:.1e}" if value else "0"


def _notes(rows: Sequence[Row]) -> list[str]:
    notes = []
    if any(row.heavy or row.discarded for row in rows):
        worst = max(rows, key=lambda row: row.discarded)
        notes.append(
            "† some networks have no stationary state and were left out, or single networks dominate the average: its"
            f" error is not to be trusted, and stationary it has no limit (most were left out at σ_w² ="
            f" {worst.coupling:g}, N = {worst.N}: {worst.discarded} of {worst.discarded + worst.networks})"
        )
    compared = [row for row in rows if not (row.heavy or row.discarded)]
    notes.append(
        f"sum of diagrams and simulation agree in {sum(row.agrees for row in compared)} of {len(compared)} networks"
        " without †, within three errors of the simulation and what the sum leaves open"
    )
    return notes


def _table(heading: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(map(str, heading)) + " |", "|" + " --- |" * len(heading)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)
