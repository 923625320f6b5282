"""``nnqft resume`` and ``nnqft ledger``."""

from __future__ import annotations

import json as jsonlib
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import nnqft
from nnqft import InputError, Request
from nnqft.cli.options import OUTPUT, QUESTION, WHOLE, Accuracy, MaxDiagrams, Output, Place, TimeLimit
from nnqft.cli.output import STDOUT, check_outputs, finish
from nnqft_workers.ledger_file import count_records, list_requests

Number = Annotated[
    int | None,
    WHOLE,
    Parameter(name="--request", group=QUESTION, help="Number of the request in nnqft ledger PATH."),
]
LedgerFile = Annotated[Path, Parameter(group=QUESTION, help="A ledger that --ledger of nnqft compute has made.")]


def resume(
    path: LedgerFile,
    *,
    request: Number = None,
    time_limit: TimeLimit = None,
    max_diagrams: MaxDiagrams = Accuracy.max_diagrams,
    place: Place = Place(),
    output: Output = Output(),
) -> int:
    """Go on with what a ledger holds: its one unfinished request, or the one that is named.

    Examples:

        nnqft resume run.ledger --executor processes --json result.json

        nnqft resume run.ledger --request 1 --time-limit 60
    """
    check_outputs(output)
    chosen = _choose(path, list_requests(path), request)
    wanted = Request.from_json(chosen["request"])
    theory = nnqft.theory(wanted.model, start=wanted.start, **dict(wanted.parameters))
    print(f"request {chosen['number']}: {describe(wanted)}", file=sys.stderr if output.json == STDOUT else sys.stdout)
    names = ("order", "width_order", "times", "indices", "integrator", "rtol", "atol", "neval", "seed")
    asked = {name: getattr(wanted, name) for name in names}
    options = {**place.options, "time_limit": time_limit, "ledger": path, "max_diagrams": max_diagrams}
    return finish(lambda: nnqft.compute(theory, wanted.observable, **asked, **options), output)


def ledger(
    path: LedgerFile,
    *,
    json: Annotated[bool, Parameter(group=OUTPUT, help="Print JSON.", negative=())] = False,
) -> int:
    """List the requests that a ledger holds, and what of them is finished.

    Examples:

        nnqft ledger run.ledger

        nnqft ledger run.ledger --json
    """
    rows, records = list_requests(path), count_records(path)
    if json:
        requests = [{**row, "request": jsonlib.loads(row["request"])} for row in rows]
        kinds = {kind: {"records": count, "samples": samples} for kind, (count, samples) in records.items()}
        print(jsonlib.dumps({"requests": requests, "records": kinds}, indent=1))
        return 0
    for row in rows:
        changed = datetime.fromtimestamp(row["changed"]).isoformat(" ", "minutes")
        print(f"{row['number']:>3}  {row['status']:<4}  {changed}  {row['samples']:>15,} samples  {row['reason']}")
        print(f"     {describe(Request.from_json(row['request']))}")
    names = {"chunk": "chunks", "map": "maps", "exact": "exact integrals"}
    parts = [f"{count:,} {names.get(kind, kind)}" for kind, (count, _) in sorted(records.items())]
    print(f"{path!s}: {len(rows)} request{'s' * (len(rows) != 1)}, {', '.join(parts) or 'nothing finished yet'}")
    return 0


def describe(request: Request) -> str:
    """A request on one line of text, for listings."""
    values = ", ".join(f"{name}={value}" for name, value in request.parameters if value is not None)
    targets = {name: getattr(request, name) for name in ("rtol", "atol", "neval")}
    wanted = ", ".join(f"{name}={value:g}" for name, value in targets.items() if value is not None)
    width = "" if request.width_order is None else f", width order ≤ {request.width_order}"
    count = len(request.times)
    return (
        f"{request.observable} of {request.model} ({request.start}; {values}), order ≤ {request.order}{width},"
        f" {count} time{'s' * (count > 1)}, {request.integrator}, seed {request.seed}{', ' + wanted if wanted else ''}"
    )


def _choose(path: Path, rows: list[Any], number: int | None) -> Any:
    if number is not None:
        for row in rows:
            if row["number"] == number:
                return row
        raise InputError(f"--request {number}: {str(path)!r} has {[row['number'] for row in rows]}")
    unfinished = [row for row in rows if row["status"] != "done"]
    if len(unfinished) == 1:
        return unfinished[0]
    if not unfinished:
        raise InputError(f"{str(path)!r} has nothing unfinished; write --request N to see a finished result again")
    numbers = ", ".join(str(row["number"]) for row in unfinished)
    raise InputError(f"{str(path)!r} has {len(unfinished)} unfinished requests; write --request with one of {numbers}")
