"""The study's tables, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from nnqft.show.numbers import value_with_error
from nnqft_plugins.networks.study.edges import Edge, Exponents, PowerLaw, fit_edges, fit_exponents
from nnqft_plugins.networks.study.plan import Settings
from nnqft_plugins.networks.study.rows import Row, Size


def markdown(
    settings: Settings,
    rows: Sequence[Row],
    sizes: Sequence[Size],
    edges: Sequence[Edge],
    exponents: Sequence[Exponents],
    figures: Sequence[str],
) -> str:
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
    if edges:
        parts += ["## Where h = 0 is lost", edge_table(edges), *fit_lines(fit_edges(edges))]
    if exponents:
        parts += [
            "## Where tanh networks with noise get chaotic",
            exponent_table(exponents),
            *fit_lines(fit_exponents(exponents)),
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
                _known(row.sum.value, ".4f"), _known(row.sum.error, ".1g"), _verdict(row),
                _known(row.sum.by_pade, ".4f"), f"{row.resummed:.4f}",
                f"{row.best:.4f} ± {row.best_error:.1g}" if row.summed else "–", _known(row.published, ".4f"),
                _known(row.published_flat, ".4f"),
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
                _known(size.published_cacti, "+.3f"), _known(size.published_depth, "+.3f"),
            )
            for size in sizes
        ),
    )  # fmt: skip


def budget(rows: Sequence[Row]) -> str:
    """Where the errors come from, and how far sum and simulation are apart."""
    heading = (
        "network", "σ_w²", "N", "sum − simulated", "to 1/N − simulated", "simulation: statistics", "step", "networks",
        "integrals", "last order", "Padé − sum", "degree of φ", "resummed: error",
    )  # fmt: skip
    return _table(
        heading,
        (
            (
                row.kind.title, f"{row.coupling:g}", row.N, _known(row.sum.value - row.simulated, "+.1e"),
                f"{row.resummed - row.simulated:+.1e}", f"{row.statistics:.1e}", _small(row.step), row.networks,
                _small(row.sum.sampling), _known(row.sum.last, ".1e"), _known(row.sum.pade, ".1e"),
                _small(row.sum.degree), _small(row.resummed_error),
            )
            for row in rows
        ),
    )  # fmt: skip


def edge_table(edges: Sequence[Edge]) -> str:
    """σ_c of drawn networks, a row for each width."""
    heading = ("N", "networks", "mean of σ_c/γ", "median", "standard deviation", "share with σ_c < γ")
    return _table(
        heading,
        (
            (
                edge.N, edge.matrices,
                *(value_with_error(*one) for one in (edge.mean, edge.median, edge.spread, edge.below)),
            )
            for edge in edges
        ),
    )  # fmt: skip


def fit_lines(laws: Mapping[str, PowerLaw | None]) -> list[str]:
    """Power laws in N through the numbers of a table, one list or none."""
    lines = []
    for name, law in laws.items():
        if law is not None:
            a, p = value_with_error(*law.amplitude), value_with_error(*law.exponent)
            lines.append(
                f"* {name} = a N^−p: a = {a}, p = {p}, χ² = {law.chi2:.1f} for {law.freedom} degrees of freedom"
            )
    return ["\n".join(lines)] if lines else []


def exponent_table(exponents: Sequence[Exponents]) -> str:
    """λ of drawn networks, a row for each width."""
    first, *_, last = exponents[0].cell.sigma_w
    heading = ("N", "networks", f"λ/γ at σ_w = {first:.4g}, κ = {exponents[0].cell.kappa:g}", "σ_w where λ = 0")
    rows: list[Sequence[object]] = [
        (
            one.cell.N, one.cell.networks, value_with_error(*one.at_edge),
            f"not in {first:.4g} … {last:.4g}" if one.zero is None else value_with_error(*one.zero),
        )
        for one in exponents
    ]  # fmt: skip
    return _table(heading, [*rows, ("∞", "–", "0", f"{first:.4f}")])


def _verdict(row: Row) -> str:
    if not row.summed:
        return "–"
    return ("yes" if row.agrees else "no") + (" †" if row.heavy or row.discarded else "")


def _simulated(row: Row) -> str:
    return value_with_error(row.simulated, row.simulation_error) + (" †" if row.heavy or row.discarded else "")


def _known(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def _small(value: float) -> str:
    return _known(value, ".1e") if value else "0"


def _notes(rows: Sequence[Row]) -> list[str]:
    notes = []
    if any(row.heavy or row.discarded for row in rows):
        worst = max(rows, key=lambda row: row.discarded)
        notes.append(
            "† some networks have no stationary state and were left out, or single networks dominate the average: its"
            f" error is not to be trusted, and stationary it has no limit (most were left out at σ_w² ="
            f" {worst.coupling:g}, N = {worst.N}: {worst.discarded} of {worst.discarded + worst.networks})"
        )
    compared = [row for row in rows if row.summed and not (row.heavy or row.discarded)]
    notes.append(
        f"sum of diagrams and simulation agree in {sum(row.agrees for row in compared)} of {len(compared)} networks"
        " without †, within three errors of the simulation and what the sum leaves open"
    )
    return notes


def _table(heading: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(map(str, heading)) + " |", "|" + " --- |" * len(heading)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)
