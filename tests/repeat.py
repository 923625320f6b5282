"""Run the fault tests again and again beside busy processes, and print how often each passed and how long it took.

    python tests/repeat.py --repeat 20 --load 4 [what pytest takes]

A test that depends on who is faster fails sooner or later where others work on the machine; `make faults` runs this.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

TESTS = Path(__file__).parent
FAULTS = [
    "workers/test_faults.py", "workers/test_ray_nodes.py", "workers/test_ray.py", "workers/test_processes_main.py",
    "workers/test_callers.py", "cli/test_signals.py", "files/test_writing.py",
]  # fmt: skip
BUSY = "while True: pass"


def run(words: list[str], number: int) -> tuple[dict[str, tuple[str, float]], str]:
    """What became of each test in one run and its seconds, and what pytest printed if any failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", f"--junitxml={report}"]
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
        if not report.exists():
            raise RuntimeError(done.stdout + done.stderr)
        found = {}
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
            kinds = {child.tag for child in case}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            found[name] = (outcome, float(case.get("time", 0.0)))
    failed = [name for name, (outcome, _) in found.items() if outcome == "failed"]
    print(f"run {number}: {len(found) - len(failed)} of {len(found)} passed", *failed, file=sys.stderr, flush=True)
    return found, done.stdout if failed else ""


def main() -> int:
    """Print the table; 1 is returned if any test failed once."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeat", type=int, default=20, help="runs of every test")
    options.add_argument("--load", type=int, default=4, help="busy processes beside them")
    options.add_argument("--at-once", type=int, default=1, help="runs at a time, which are a load for each other")
    options.add_argument("--output", type=Path, help="a file for what pytest prints of runs that fail")
    chosen, words = options.parse_known_args()
    words = words or [str(TESTS / name) for name in FAULTS if (TESTS / name).exists()]
    # In the background of a shell the first is ignored, by all that is started here, too, and under nohup the second.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with ExitStack() as stack:
        for _ in range(chosen.load):
            busy = subprocess.Popen([sys.executable, "-c", BUSY])
            stack.callback(busy.wait)
            stack.callback(busy.kill)
        threads = ThreadPoolExecutor(chosen.at_once)
        runs = []
        try:
            for one in as_completed([threads.submit(run, words, number) for number in range(1, chosen.repeat + 1)]):
                runs.append(one.result())
        except KeyboardInterrupt:  # then the table is of those that have ended
            threads.shutdown(cancel_futures=True)
    if chosen.output:
        chosen.output.write_text("\n".join(text for _, text in runs))
    outcomes = defaultdict(list)
    for found, _ in runs:
        for name, outcome in found.items():
            outcomes[name].append(outcome)
    good = True
    for name, rows in sorted(outcomes.items()):
        passed = [outcome for outcome, _ in rows].count("passed")
        skipped = [outcome for outcome, _ in rows].count("skipped")
        seconds = [seconds for _, seconds in rows]
        good &= passed + skipped == len(rows)
        more = f", {skipped} skipped" if skipped else ""
        print(
            f"{passed:3} of {len(rows)}{more}  {sum(seconds) / len(rows):6.1f} s, at most {max(seconds):6.1f}  {name}"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
