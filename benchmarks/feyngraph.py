"""How long generating the diagrams of φ³ and φ⁴ takes, beside FeynGraph, a generator written in Rust.

Connected two-point functions, all external legs told apart, tadpoles and loops of one line kept. Both on one core
and in processes of their own. FeynGraph makes the diagrams of one number of loops, nnqft those of all lower ones on
the way; nnqft keeps a set as arrays, and how long it takes to make an object of each diagram is a column of its own.
Each time is the best of three. (J. Braun, https://github.com/Jens-Braun/FeynGraph; beyond scalar theories the two
have little in common: FeynGraph knows the Standard Model, nnqft response fields, causality and indices.)
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from _cases import Timed, print_case, run_case, timed
from _report import Report, choose, parser, verdict

LOOPS = {3: range(2, 7), 4: range(3, 9)}
"""Power of the vertex → numbers of loops."""
SMOKE = {3: (1,), 4: (2,)}
REPEATS = 3


def package() -> Any:
    """The package feyngraph, not this file: the folder of a script comes first where modules are looked for."""
    here = sys.path.pop(0)
    try:
        import feyngraph
    finally:
        sys.path.insert(0, here)
    return feyngraph


def foreign(power: int, loops: int) -> dict[str, Any]:
    """FeynGraph's diagrams: their number, symmetry factors, and the seconds."""
    feyngraph = package()
    feyngraph.set_threads(1)
    model = feyngraph.Model.empty()
    model.add_particle(
        name="phi", anti_name="phi", spin=1, color=1, pdg_code=25, texname="phi", antitexname="phi",
        linestyle="dashed", fermi=False,
    )  # fmt: skip
    model.add_vertex("vertex", ["phi"] * power, list(range(power)), {"g": 1})

    def generate(loops: int) -> Any:
        return feyngraph.DiagramGenerator(["phi"], ["phi"], loops, model, feyngraph.DiagramSelector()).generate()

    generate(1)
    run = best(lambda: generate(loops))
    return {"factors": tally(each.symmetry_factor() for each in run.value), "seconds": run.wall}


def ours(power: int, loops: int) -> dict[str, Any]:
    """The diagrams of the toy model, up to as many loops."""
    import nnqft

    theory = nnqft.theory("toy", action={power: 1.0})
    order = 2 * loops if power == 3 else loops
    nnqft.diagrams(theory, "cumulant", order=1, arity=2)  # finds the plugins
    run = best(lambda: nnqft.diagrams(theory, "cumulant", order=order, arity=2, max_diagrams=10_000_000))
    built = timed(lambda: list(run.value))
    factors = tally(each.symmetry_factor for each in built.value if each.order == order)
    return {"factors": factors, "seconds": run.wall, "objects": built.wall, "all": len(run.value)}


def best(make: Callable[[], Any]) -> Timed:
    """The fastest of a few."""
    return min((timed(make) for _ in range(REPEATS)), key=lambda run: run.wall)


def tally(factors: Any) -> list[list[int]]:
    """Symmetry factors and how often each occurs, sorted."""
    return sorted([factor, count] for factor, count in Counter(factors).items())


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--case", nargs=3, help="who, power and loops: run one case and print JSON")
    chosen = choose(options)
    if chosen.case:
        who, power, loops = chosen.case
        return print_case(lambda: {"feyngraph": foreign, "nnqft": ours}[who](int(power), int(loops)))
    try:
        package()
    except ModuleNotFoundError:
        print("the package feyngraph is not installed; write pip install feyngraph")
        return 1
    report = Report("feyngraph", ["equal numbers of diagrams, with equal symmetry factors"], chosen)
    report.say(f"beside: feyngraph {_version()}, one thread")
    heading = ["theory", "loops", "diagrams", "equal", "FeynGraph s", "nnqft s", "ratio", "as objects s", "MB", "MB"]
    rows: list[list[object]] = [heading]
    good = True
    for power, loops in [(p, n) for p, numbers in (SMOKE if chosen.smoke else LOOPS).items() for n in numbers]:
        other, own = run_case("feyngraph", power, loops), run_case("nnqft", power, loops)
        equal = other["factors"] == own["factors"]
        good &= equal
        rows.append([
            f"φ^{power}", loops, f"{sum(count for _, count in own['factors']):,}", verdict(equal),
            f"{other['seconds']:.4f}", f"{own['seconds']:.4f}", f"{own['seconds'] / other['seconds']:.1f}",
            f"{own['objects']:.3f}", f"{other['peak'] / 1024:.0f}", f"{own['peak'] / 1024:.0f}",
        ])  # fmt: skip
    report.table(*rows)
    report.say("ratio: nnqft over FeynGraph. The last columns are peak memory, FeynGraph's first.")
    return report.close(good)


def _version() -> str:
    from importlib.metadata import version

    return version("feyngraph")


if __name__ == "__main__":
    sys.exit(main())
