"""``nnqft resume``, ``nnqft ledger`` and ``nnqft repair``."""

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
from nnqft.errors import one_line
from nnqft.show.page import printable, word
from nnqft_workers.ledger_list import Contents, contents
from nnqft_workers.repair import repair as mend

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
    held = contents(path)
    chosen = _choose(path, held, request)
    wanted = Request.from_json(chosen["request"])
    theory = nnqft.theory(wanted.model, start=wanted.start, **dict(wanted.parameters))
    print(f"request {chosen['number']}: {describe(wanted)}", file=sys.stderr if output.json == STDOUT else sys.stdout)
    names = ("order", "width_order", "times", "indices", "replicas", "integrator", "rtol", "atol", "neval", "seed")
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
    held = contents(path)
    if json:
        requests = [{**row, "request": jsonlib.loads(row["request"])} for row in held.requests]
        kinds = {kind: {"records": count, "samples": samples} for kind, (count, samples) in held.records.items()}
        print(jsonlib.dumps({"requests": requests, "records": kinds, "damaged": held.damaged}, indent=1))
        return 0
    for row in held.requests:
        changed = datetime.fromtimestamp(row["changed"]).isoformat(" ", "minutes")
        line = f"{row['number']:>3}  {row['status']:<4}  {changed}  {row['samples']:>15,} samples  {row['reason']}"
        print(printable(line))
        print(f"     {describe(Request.from_json(row['request']))}")
    names = {"chunk": "chunks", "map": "maps", "exact": "exact integrals"}
    parts = [f"{count:,} {names.get(kind, one_line(kind))}" for kind, (count, _) in held.records.items()]
    count = len(held.requests)
    print(f"{one_line(str(path))}: {count} request{'s' * (count != 1)}, {', '.join(parts) or 'nothing finished yet'}")
    if held.damaged:
        lost = " and ".join(f"{count:,} of its {name}" for name, count in sorted(held.damaged.items()))
        print(f"{lost} changed or damaged after they were written; write nnqft repair {word(path)}")
    return 0


def repair(path: Annotated[Path, Parameter(group=QUESTION, help="A ledger, or a .json file that was saved.")]) -> int:
    """Mend a damaged ledger or result: keep what is whole, and say what is dropped.

    The damaged file is kept beside the new one. A ledger loses the rows that do not match their checksums, and the next
    run computes them again; a result is restored if one bit of it was flipped.

    Examples:

        nnqft repair run.ledger

        nnqft repair result.json
    """
    for line in mend(path):
        print(one_line(line))
    return 0


def describe(request: Request) -> str:
    """A request on one line of text, for listings."""
    values = ", ".join(f"{name}={value}" for name, value in request.parameters if value is not None)
    targets = {name: getattr(request, name) for name in ("rtol", "atol", "neval")}
    wanted = ", ".join(f"{name}={value:g}" for name, value in targets.items() if value is not None)
    width = "" if request.width_order is None else f", width order ≤ {request.width_order}"
    count = len(request.times)
    return printable(
        f"{request.observable} of {request.model} ({request.start}; {values}), order ≤ {request.order}{width},"
        f" {count} time{'s' * (count > 1)}, {request.integrator}, seed {request.seed}{', ' + wanted if wanted else ''}"
    )


def _choose(path: Path, held: Contents, number: int | None) -> Any:
    lost = held.damaged.get("requests", 0)
    more = f"; {lost} of its requests changed or damaged, write nnqft repair {word(path)}" if lost else ""
    if number is not None:
        for row in held.requests:
            if row["number"] == number:
                return row
        raise InputError(f"--request {number}: {str(path)!r} has {[row['number'] for row in held.requests]}{more}")
    unfinished = [row for row in held.requests if row["status"] != "done"]
    if len(unfinished) == 1:
        return unfinished[0]
    if not unfinished:
        wanted = "write --request N to see a finished result again"
        raise InputError(f"{str(path)!r} has nothing unfinished{more or '; ' + wanted}")
    numbers = ", ".join(str(row["number"]) for row in unfinished)
    raise InputError(f"{str(path)!r} has {len(unfinished)} unfinished requests; write --request with one of {numbers}")
