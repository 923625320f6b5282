"""The commands that come with core; their code is in `nnqft.cli.main`, imported when one of them is used."""

from __future__ import annotations

from collections.abc import Mapping

from nnqft.hookspecs import hookimpl


@hookimpl
def nnqft_commands() -> Mapping[str, str]:
    """plugins, rules, diagrams, compute, dyson."""
    commands = {name: f"nnqft.cli.main:{name}" for name in ("plugins", "rules", "diagrams", "compute")}
    return commands | {"dyson": "nnqft.cli.main.dyson:dyson"}
