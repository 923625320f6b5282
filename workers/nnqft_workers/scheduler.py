"""Share samples among integrals so that their weighted sum meets one target.

Rounds of chunks are decided from estimates and counted costs, never from the clock or the number of workers: the
same request takes the same chunks, with the same seeds, wherever it runs. While the last chunks of a round are
computed, workers that would stand still take chunks that the next round will probably ask for; whether these are
used is decided when their turn comes, as if nothing had been computed ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from nnqft import InputError, LedgerError, Outcome, Target, Work
from nnqft.interrupts import kept_back
from nnqft.show.watch import OutOfTime, time_limit
from nnqft_workers.ledger import open_ledger
from nnqft_workers.pool import AbstractPool
from nnqft_workers.run import Progress, Run


def schedule(work: Sequence[Work], target: Target, pool: AbstractPool, progress: Progress) -> Outcome:
    """Sample all work on the pool until the target is met, a budget is spent, or the user interrupts.

    Raises
    ------
    InputError
        If the budget cannot give every integral the fewest samples that make an honest error bar.
    LedgerError
        If the ledger cannot be opened.
    """
    with ExitStack() as ending, open_ledger(target.keep) as ledger:
        run = Run(work, target, pool, progress, ledger)
        failure: Exception | None = None
        try:
            with time_limit(target.time_limit):
                converged, reason = run.until_done()
            if target.partial:
                converged, reason = False, f"time limit of {target.time_limit:g} s reached"
            if run.failed:
                converged, failure, reason = False, run.first_failure(), f"{_failures(run)}; {reason}"
        except KeyboardInterrupt:
            converged, reason = False, "interrupted"
        except OutOfTime:
            converged = target.only_budget and None not in run.best() and not target.partial
            if run.failed:
                converged, failure = False, run.first_failure()
            reason = f"time limit of {target.time_limit:g} s reached"
        except InputError:
            raise  # raised before anything is computed
        except Exception as error:
            converged, reason, failure = False, "failed", error  # what is finished is handed over all the same
        finally:
            ending.enter_context(kept_back())
            run.dispatcher.close()
        notes = run.notes()
        failed = {n: str(error) for n, error in run.failed.items()}
        try:
            ledger.finish(converged, reason, run.spent)
        except LedgerError as error:
            # A disk that is full must not cost the estimates.
            notes += (f"how it ended could not be written down: {error}",)
        notes += ledger.notes
    return Outcome(run.best(), converged, reason, failure, notes, failed)


def _failures(run: Run) -> str:
    count = len(run.failed)
    return f"{count} integral{'s' * (count > 1)} failed"
