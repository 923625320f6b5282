"""``nnqft compute MODEL``."""

from __future__ import annotations

from dataclasses import asdict

from nnqft.cli.options import (
    Accuracy,
    DryRun,
    Indices,
    LedgerPath,
    Model,
    Observable,
    OrderOrAll,
    Output,
    Param,
    Place,
    Replicas,
    Start,
    Tau,
    TimeLimit,
    Times,
    WidthOrder,
    parse_parameters,
    parse_times,
)
from nnqft.cli.output import check_outputs, finish


def compute(
    model: Model,
    *,
    param: Param = None,
    start: Start = "stationary",
    observable: Observable = "two_point",
    indices: Indices = None,
    replicas: Replicas = None,
    order: OrderOrAll = 2,
    width_order: WidthOrder = None,
    tau: Tau = None,
    times: Times = None,
    accuracy: Accuracy = Accuracy(),
    time_limit: TimeLimit = None,
    ledger: LedgerPath = None,
    place: Place = Place(),
    dry_run: DryRun = False,
    output: Output = Output(),
) -> int:
    """Compute an observable as the sum of its diagrams.

    Examples:

        nnqft compute linear -p N=100 -p sigma_w=0.5 --tau 0:5:11 --plot c.png

        nnqft compute cubic_tanh -p N=50 -p sigma_w=0.5 -n 3 -k 1 --dry-run
    """
    import nnqft

    check_outputs(output)
    names = [name.strip() for name in observable.split(",")]
    theory = nnqft.theory(model, start=start, **parse_parameters(param))
    question = {
        "order": order,
        "width_order": width_order,
        "indices": indices,
        "replicas": replicas,
        **parse_times(tau, times),
    }
    effort = {**asdict(accuracy), **place.options, "time_limit": time_limit, "ledger": ledger}
    what = names if len(names) > 1 else observable
    if dry_run:
        from nnqft.pipeline.forecast import forecasts, together

        print("\n\n".join(together(forecasts(theory, what, **question, **effort))))
        return 0
    return finish(lambda: nnqft.compute(theory, what, **question, **effort), output)
