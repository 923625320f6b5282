"""A stranger's view: wheels in a fresh environment, plugins that work, and plugins that are broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from oracles import infinite_width, langevin_cumulants, one_site
from scipy.integrate import quad
from theories import bare_theory

import nnqft
from nnqft.cli.main import main
from nnqft.host import PluginWarning, default_host

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}


def finished(command: list[Any], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command run to its end in a folder, its output caught."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Fresh:
    """A virtual environment that holds nnqft and the example plugin as wheels, and nothing of this checkout.

    What they depend on is lent by the environment of the tests, except nnqft itself, which is installed there too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, pip = folder, [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        for project in (ROOT, ROOT / "examples/third_party_plugin"):
            self.must(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder / "wheels", project)
        self.must(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
        self.bin = folder / "venv/bin"
        wheels = sorted((folder / "wheels").iterdir())
        self.must(*pip, "--python", self.bin / "python", "install", "-q", "--no-deps", "--no-index", *wheels)
        lent = folder / "lent"
        lent.mkdir()
        for thing in {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}:
            for part in thing.iterdir():
                if "nnqft" not in part.name and part.suffix != ".pth":
                    (lent / part.name).symlink_to(part)
        site = self.must(self.bin / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        (Path(site) / "lent.pth").write_text(str(lent))

    def must(self, *command: Any) -> str:
        """What the command prints; it must succeed."""
        done = finished(list(command), self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, code: str) -> Any:
        """What a program hands back by ``answer(value)``, by way of JSON."""
        head = "import json, numpy as np, nnqft\nanswer = lambda value: print(json.dumps(value))\n"
        return json.loads(self.must(self.bin / "python", "-W", "error", "-c", head + textwrap.dedent(code)))

    def nnqft(self, *arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
        """The command line."""
        return finished([self.bin / "nnqft", *arguments], self.folder, **environment)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Fresh:
    return Fresh(tmp_path_factory.mktemp("fresh"))


def test_everything_comes_from_the_wheels(fresh):
    files, points = fresh.python("""
        import nnqft_example_plugin, nnqft_plugins, nnqft_workers
        from importlib.metadata import entry_points
        modules = nnqft, nnqft_plugins, nnqft_workers, nnqft_example_plugin
        answer([[m.__file__ for m in modules], [(p.name, p.dist.name) for p in entry_points(group="nnqft")]])
    """)
    assert len(files) == 4
    assert all(Path(file).is_relative_to(fresh.folder / "venv") for file in files)
    assert ["example", "nnqft-example-plugin"] in points
    assert len({name for name, _ in points}) == len(points)
    assert {dist for _, dist in points} == {"nnqft", "nnqft-example-plugin"}


def test_command_line_lists_the_plugin(fresh):
    done = fresh.nnqft("plugins")
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("sine", "power_law", "kurtosis", "qmc"):
        assert any(line.split()[:1] == [name] and "[example]" in line for line in done.stdout.splitlines()), name
    assert "broken" not in done.stdout


# The sine model

SIN = {1: 1.0, 3: -1 / 6, 5: 1 / 120}
NETWORK = {"gamma": 1.3, "kappa": 0.8}


@pytest.mark.parametrize(("degree", "order"), [(3, 2), (5, 1)])
def test_sine_against_answers_without_diagrams(fresh, degree, order):
    tau, phi = [0.0, 0.7], {p: c for p, c in SIN.items() if p <= degree}
    found = np.array(
        fresh.python(f"""
        theory = nnqft.theory("sine", gamma=1.3, kappa=0.8, degree={degree})
        result = nnqft.compute(theory, "two_point", order={order}, tau={tau}, integrator="exact", rtol=1e-6)
        answer([[result.contribution(n, k).mean.tolist() for k in range(3)] for n in range({order} + 1)])
    """)
    )
    times = [(t, 0.0) for t in tau]
    assert_allclose(found.sum(axis=1), one_site(phi, times, order=order, **NETWORK), rtol=1e-10)
    assert_allclose(found[:, 0], infinite_width(phi, tau, order=order, **NETWORK), rtol=1e-10)


def test_sine_on_the_command_line(fresh):
    done = fresh.nnqft(
        *("compute", "sine", "-p", "gamma=1.3", "-p", "kappa=0.8", "-p", "sigma_w=0.9", "--order", "1"),
        *("--tau", "0,0.7", "--integrator", "qmc", "--rtol", "1e-3", "--seed", "3", "--json", "sine.json"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "two_point of sine (stationary), order ≤ 1" in done.stdout
    result = nnqft.load(fresh.folder / "sine.json")
    wanted = one_site({1: 1.0, 3: -1 / 6}, [(0.0, 0.0), (0.7, 0.0)], order=1, **NETWORK)
    assert_allclose(result.mean, wanted[0] + 0.9**2 * wanted[1], rtol=3e-3)
    assert (np.abs(result.mean - wanted[0] - 0.9**2 * wanted[1]) < 4 * result.sdev).all()
    assert {row.integrator for row in result.diagrams} == {"qmc"}


# The kurtosis


def test_kurtosis_of_a_langevin_equation(fresh):
    found = fresh.python("""
        theory = nnqft.theory("langevin", drift={1: 1.0, 3: 1.0}, noise=2.0)
        result = nnqft.compute(theory, "kurtosis", order=2, integrator="exact", rtol=1e-6)
        answer([result.contribution(n, 0).mean[0] for n in range(3)])
    """)
    assert langevin_cumulants(1, {3: 1}, 2, order=2, k=4) == [0, -6, 126]
    assert_allclose(found, [0, -6, 126], rtol=1e-10)


def test_kurtosis_on_the_command_line(fresh):
    done = fresh.nnqft(
        *("compute", "langevin", "-p", "drift={1: 1.0, 3: 0.02}", "--observable", "kurtosis", "--order", "2"),
        *("--integrator", "qmc", "--neval", "200000", "--json", "kurtosis.json"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    result = nnqft.load(fresh.folder / "kurtosis.json")
    for order, wanted in ((1, -6 * 0.02), (2, 126 * 0.02**2)):
        part = result.contribution(order, 0)
        assert_allclose(part.mean, wanted, rtol=0.01)
        assert abs(part.mean[0] - wanted) < 4 * part.sdev[0]


def test_kurtosis_is_the_cumulant_at_equal_times(fresh):
    one, other = fresh.python("""
        theory = nnqft.theory("sine", sigma_w=0.5, N=10)
        ask = {"order": 1, "integrator": "exact", "rtol": 1e-6}
        results = nnqft.compute(theory, "kurtosis", **ask), nnqft.compute(theory, "cumulant", times=[(0.0,) * 4], **ask)
        answer([[result.contribution(1, k).mean[0] for k in range(4)] for result in results])
    """)
    assert_allclose(one, other, rtol=1e-10)
    assert one[0] == 0.0  # at infinite width a neuron is Gaussian
    assert any(one)


# The power law

GAMMA, KAPPA, A = 1.3, 0.8, 1.7
PAIRS = [(1.0, 1.0), (0.3, 2.0), (4.0, 0.5)]


def response(t: Any) -> Any:
    return (1 + GAMMA * t / A) ** (-A - 1)


def chain(length: int, t: np.ndarray, nodes: int = 60) -> np.ndarray:
    """∫ of `length` responses in a row over the times between them, by Gauss–Legendre quadrature."""
    if length == 1:
        return response(t)
    x, w = np.polynomial.legendre.leggauss(nodes)
    # Nodes crowd at both ends, where one of the two factors varies quickly: y = x²(3 − 2x).
    x, w = (x + 1) / 2, w / 2
    y, w = x * x * (3 - 2 * x), w * 6 * x * (1 - x)
    t = np.asarray(t)[..., None]
    return (w * t * chain(length - 1, t * y, nodes) * response(t * (1 - y))).sum(axis=-1)


def noise_chains(a: int, b: int, t: float, s: float, start: str) -> float:
    """κ ∫ du chain_a(t−u) chain_b(s−u), from −∞ or 0 to min(t, s)."""
    low = min(t, s)
    x, w = np.polynomial.legendre.leggauss(60)
    # v = x²/(1 − x) takes (0, 1) to (0, ∞), v = low·x to (0, low).
    x, w = (x + 1) / 2, w / 2
    v, w = (low * x, low * w) if start == "rest" else (x * x / (1 - x), w * x * (2 - x) / (1 - x) ** 2)
    return float(KAPPA * (w * chain(a, t - low + v) * chain(b, s - low + v)).sum())


def test_the_power_law_oracle_is_the_plain_integral():
    assert_allclose(chain(2, np.array(2.0)), quad(lambda x: response(x) * response(2.0 - x), 0, 2)[0], rtol=1e-10)
    for start, below in (("rest", 0.0), ("stationary", -np.inf)):
        wanted = KAPPA * quad(lambda u: response(4.0 - u) * response(0.5 - u), below, 0.5)[0]
        assert_allclose(noise_chains(1, 1, 4.0, 0.5, start), wanted, rtol=1e-9)
    # All in all a chain of 1 and one of 3 take as long as any: more nodes change nothing.
    assert_allclose(chain(3, np.array(7.0)), chain(3, np.array(7.0), nodes=90), rtol=1e-9)


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_power_law_against_direct_integration(fresh, start):
    rows = fresh.python(f"""
        theory = nnqft.theory("power_law", start="{start}", gamma={GAMMA}, kappa={KAPPA}, a={A}, sigma_w=1.0)
        rows = []
        for integrator in ("vegas", "qmc"):
            ask = {{"times": {PAIRS}, "integrator": integrator, "neval": 100_000, "seed": 5}}
            result = nnqft.compute(theory, "two_point", order=1, **ask)
            parts = [result.contribution(n, k) for n, k in ((0, 0), (1, 0), (1, 1))]
            rows.append([[part.mean.tolist(), part.sdev.tolist()] for part in parts])
        answer(rows)
    """)
    free, cactus = ([noise_chains(n, n, t, s, start) for t, s in PAIRS] for n in (1, 2))
    mushrooms = [noise_chains(1, 3, t, s, start) + noise_chains(3, 1, t, s, start) for t, s in PAIRS]
    for row in np.array(rows):
        assert_allclose(row[0, 0], free, rtol=1e-9)
        assert not row[0, 1].any()
        for (mean, sdev), wanted in zip(row[1:], (cactus, mushrooms), strict=True):
            assert_allclose(mean, wanted, rtol=1e-2)
            assert (np.abs(mean - wanted) < 4 * sdev).all()


def test_power_law_response(fresh):
    mean, sdev = np.array(
        fresh.python(f"""
        theory = nnqft.theory("power_law", gamma={GAMMA}, a={A}, sigma_w=1.0)
        times = [(2.0, 0.5), (0.5, 2.0)]
        result = nnqft.compute(theory, "response", order=1, times=times, integrator="qmc", neval=50_000)
        part = result.contribution(1, 1)
        answer([part.mean.tolist(), part.sdev.tolist()])
    """)
    )
    wanted = chain(3, np.array(1.5))
    assert abs(mean[0] - wanted) < 4 * sdev[0] < 4e-3 * wanted
    assert (mean[1], sdev[1]) == (0.0, 0.0)


def test_power_law_without_end_is_the_linear_network(fresh):
    steep, exponential = fresh.python("""
        ask = {"order": 1, "tau": [0.0, 1.0], "neval": 50_000}
        answer([nnqft.compute(theory, "two_point", **ask).mean.tolist() for theory in (
            nnqft.theory("power_law", a=50.0, sigma_w=0.5), nnqft.theory("linear", N=1, sigma_w=0.5))])
    """)
    assert_allclose(steep, exponential, rtol=0.05)
    assert not np.allclose(steep, exponential, rtol=1e-3)


# The integrator


def test_qmc_passes_the_tests_of_every_integrator(fresh):
    tests = ROOT / "tests/plugins/test_integrators.py"
    done = finished(
        [fresh.bin / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, "-k", "qmc and not rejects"], ROOT
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_qmc_gives_the_same_bits_everywhere(fresh):
    program = fresh.folder / "everywhere.py"
    program.write_text(
        textwrap.dedent("""
        import nnqft

        def run(executor, workers):
            theory = nnqft.theory("power_law", sigma_w=0.5)
            ask = {"order": 2, "tau": [0.0, 1.0], "integrator": "qmc", "neval": 40_000}
            result = nnqft.compute(theory, "two_point", executor=executor, workers=workers, **ask)
            print(*(value.hex() for value in [*result.mean, *result.cov.ravel()]))

        if __name__ == "__main__":
            run("local", 1)
            run("processes", 2)
    """)
    )
    local, processes = fresh.must(fresh.bin / "python", program).splitlines()
    assert local == processes
    assert len(local.split()) == 6


def test_a_ledger_finds_the_chunks_of_a_plugin_again(fresh):
    """Its functions and its integrator are seen, and are the same in another process."""
    ledger = fresh.folder / "plugin.ledger"
    ask = ("--order", "1", "--integrator", "qmc", "--seed", "3", "--ledger", ledger, "--json", "-")
    listings = []
    for _ in range(2):
        done = fresh.nnqft("compute", "power_law", "-p", "sigma_w=0.5", *ask, "--neval", "20000")
        assert done.returncode == 0, done.stderr
        assert not [note for note in json.loads(done.stdout)["notes"] if "not kept" in note]
        listings.append(json.loads(fresh.nnqft("ledger", ledger, "--json").stdout)["records"])
    assert listings[0]["chunk"]["samples"] > 10_000
    assert listings[0] == listings[1]


# Broken strangers

Installed = Callable[..., None]


def put_on_disk(folder: Path, code: str, module: str, name: str) -> None:
    """A module and the metadata that an installed distribution of it would have."""
    (folder / f"{module}.py").write_text("import nnqft\nfrom nnqft import *\n" + textwrap.dedent(code))
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[nnqft]\n{name} = {module}\n")


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Iterator[Installed]:
    """Installs a plugin for the length of a test, called ``stranger`` unless asked otherwise."""

    def install(code: str, module: str = "stranger", name: str | None = None) -> None:
        put_on_disk(tmp_path, code, module, name or module)
        monkeypatch.syspath_prepend(tmp_path)
        default_host.cache_clear()

    yield install
    default_host.cache_clear()
    for module in ("stranger", "another"):
        sys.modules.pop(module, None)


def assert_others_work() -> None:
    result = nnqft.compute(bare_theory("linear", sigma_w=0.5), "two_point", order=1, rtol=1e-2)
    assert abs(result.mean[0] - (0.5 + 0.25 * 0.5)) < 0.02


MODEL = """
class Fine(AbstractModel):
    name = "fine"
    parameters = {}

    def theory(self, start, values):
        fields = Field("h", "h"), Field("z", "z", response=True)
        lines = (
            Propagator("C", "h", "h", terms=(Term(0.5, 1.0),)),
            Propagator("G", "h", "z", terms=(Term(1.0, 1.0),)),
        )
        vertex = Vertex("v", (Leg("z"), Leg("h", power=3)), -1.0)
        return Theory(self.name, start, values, fields, lines, (vertex,))
"""
HOOK = "\n@hookimpl\ndef nnqft_models(): return [Fine()]"

UNLOADABLE = {
    "import error": ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
    "syntax error": ("def", "SyntaxError: invalid syntax"),
    "misspelt hook": ("@hookimpl\ndef nnqft_model(): return []", "unknown hook 'nnqft_model'; did you mean 'nnqft_mod"),
    "no decorator": ("def nnqft_models(): return []", "nnqft_models lacks the @nnqft.hookimpl decorator"),
    "argument too many": ("@hookimpl\ndef nnqft_models(host): return []", "nnqft_models"),
    "hook that raises": ("@hookimpl\ndef nnqft_models(): return 1 / 0", "ZeroDivisionError: division by zero"),
    "hook without a list": ("@hookimpl\ndef nnqft_models(): return None", "its models came as None, wanted a list"),
    "not a model": (
        "class Thing: name = 'thing'\n@hookimpl\ndef nnqft_models(): return [Thing()]",
        "model 'thing' is not an instance of AbstractModel",
    ),
    "no name": (MODEL + "    name = ''\n@hookimpl\ndef nnqft_models(): return [Fine()]", "a model has no name"),
    "abstract": (
        "class M(AbstractModel): name = 'm'\n@hookimpl\ndef nnqft_models(): return [M()]",
        "Can't instantiate abstract class M",
    ),
    "executor that is no function": (
        "@hookimpl\ndef nnqft_executors(): return {'place': 3}",
        "executor 'place' is not callable",
    ),
}


@pytest.mark.parametrize("what", UNLOADABLE)
def test_a_plugin_that_does_not_load_costs_only_itself(installed, what):
    code, cause = UNLOADABLE[what]
    installed(code)
    with pytest.warns(PluginWarning) as caught:
        assert_others_work()
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "'stranger'" in message
    assert cause in message
    with pytest.raises(nnqft.PluginError) as raised:
        nnqft.theory("stranger")
    assert "model 'stranger' cannot be used" in str(raised.value)
    assert cause in str(raised.value)


def test_a_name_that_is_taken_is_refused_and_the_rest_of_the_plugin_kept(installed):
    installed(MODEL + "class Linear(Fine): name = 'linear'\n@hookimpl\ndef nnqft_models(): return [Linear(), Fine()]")
    with pytest.warns(PluginWarning, match=r"model 'linear' is already provided by plugin 'nnqft'; rename it"):
        assert_others_work()
    assert nnqft.theory("fine").model == "fine"
    assert bare_theory("linear", gamma=2.0).parameters["gamma"] == 2.0


def test_two_plugins_that_bring_one_model(installed):
    installed(MODEL + HOOK)
    installed(MODEL + HOOK, "another")
    with pytest.warns(PluginWarning, match="model 'fine' is already provided by plugin 'another'; rename it"):
        assert_others_work()
    assert nnqft.theory("fine").model == "fine"


def test_two_distributions_that_name_their_plugin_alike(installed):
    installed(MODEL + HOOK)
    installed(MODEL.replace("fine", "other") + HOOK, "another", name="stranger")
    with pytest.warns(PluginWarning, match="'stranger'"):
        assert_others_work()


BAD_RULES = {
    "unknown field": (
        "Vertex('v', (Leg('z'), Leg('q')), -1.0)",
        "model 'fine': vertex 'v' has a leg of unknown field 'q'; declare it in fields",
    ),
    "nan": (
        "Vertex('v', (Leg('z'), Leg('h')), float('nan'))",
        "model 'fine': vertex 'v': coefficient nan is not a finite number",
    ),
    "unknown coupling": (
        "Vertex('v', (Leg('z'), Leg('h')), 1.0, (('g', 1),))",
        "model 'fine': vertex 'v': coupling 'g' is not a parameter of the model",
    ),
    "order zero": (
        "Vertex('v', (Leg('z'), Leg('h')), 1.0, order=0)",
        "model 'fine': vertex 'v': order 0 must be positive",
    ),
    "growth with N": (
        "Vertex('v', (Leg('z', 0, 'i'), Leg('h', 0, 'j', 3)), 1.0)",
        "model 'fine': vertex 'v' sums over 2 indices and has only N^-0",
    ),
    "no response": (
        "Vertex('v', (Leg('h', power=4),), 1.0)",
        "model 'fine': vertex 'v' has a point without a response",
    ),
}


@pytest.mark.parametrize("what", BAD_RULES)
def test_rules_that_contradict_themselves(installed, what):
    vertex, cause = BAD_RULES[what]
    installed(MODEL.replace('Vertex("v", (Leg("z"), Leg("h", power=3)), -1.0)', vertex) + HOOK)
    with pytest.raises(nnqft.TheoryError) as caught:
        nnqft.compute(nnqft.theory("fine"), "two_point", order=1, rtol=1e-2)
    assert cause in str(caught.value)
    assert_others_work()


KERNELS = {
    "raises": ("raise KeyError('amplitude')", "raised KeyError: 'amplitude'"),
    "wrong shape": ("return xp.ones(3)", "returned shape (3,) for times of shape"),
    "nan": ("return xp.nan * t", "returned a value that is not finite"),
}
PLACES = {
    "a correlator": (
        'Propagator("C", "h", "h", terms=(Term(0.5, 1.0),))',
        'Propagator("C", "h", "h", kernel=kernel)',
        "kernel of propagator 'C'",
    ),
    "a vertex": ("-1.0)", "-1.0, kernel=vertex_kernel)", "kernel of vertex 'v'"),
}


@pytest.mark.parametrize(
    ("place", "executor"), [("a correlator", "local"), ("a correlator", "processes"), ("a vertex", "local")]
)
@pytest.mark.parametrize("what", KERNELS)
def test_a_function_that_fails_on_a_worker(installed, what, place, executor):
    (body, cause), (line, spoilt, where) = KERNELS[what], PLACES[place]
    functions = textwrap.dedent(f"""
        def kernel(t, s, params, xp):
            {body}

        def vertex_kernel(times, params, xp):
            return kernel(times[0], 0.0, params, xp)
    """)
    assert line in MODEL
    installed(functions + MODEL.replace(line, spoilt) + HOOK)
    with pytest.raises(nnqft.IntegrationError) as caught:
        nnqft.compute(nnqft.theory("fine"), "two_point", order=1, neval=10_000, executor=executor, workers=1)
    message = str(caught.value)
    assert f"model 'fine': {where}" in message
    assert cause in message
    assert "\n" not in message
    assert not caught.value.result.converged
    assert_others_work()


def test_a_function_that_cannot_travel(fresh):
    program = fresh.folder / "local_function.py"
    program.write_text(
        textwrap.dedent("""
        import threading
        from dataclasses import replace
        import nnqft

        def main():
            lock = threading.Lock()  # no lock can be sent to another process, and what holds one neither

            def own_correlator(t, s, params, xp):
                with lock:
                    return xp.exp(-xp.abs(t - s))

            theory = nnqft.theory("sine")
            line = nnqft.Propagator("C", "h", "h", kernel=own_correlator)
            theory = replace(theory, propagators=(line, theory.propagators[1]))
            ask = {"order": 1, "neval": 10_000, "workers": 1}
            print(nnqft.compute(theory, "two_point", executor="local", **ask).converged)
            try:
                nnqft.compute(theory, "two_point", executor="processes", **ask)
            except nnqft.NnqftError as error:
                print(error)

        if __name__ == "__main__":
            main()
    """)
    )
    # That it ends at all is part of the test.
    here, there = fresh.must(fresh.bin / "python", program).splitlines()
    assert here == "True"
    assert "cannot be sent to another process" in there
    assert "lock" in there


# The other hooks

EXTRAS = """
class Counting(AbstractExecutor):
    name = "counting"

    def __init__(self, workers, address):
        self.workers = workers

    def evaluate(self, work, target, progress):
        seed = __import__("numpy").random.SeedSequence(target.seed)
        estimates = [w.integrator.sample(w.integral, w.integrator.prepare(w.integral, seed), 1000, seed) for w in work]
        return Outcome(estimates, True, f"counted {len(work)} with {self.workers}")

@hookimpl
def nnqft_executors():
    return {"counting": lambda workers=None, address=None: Counting(workers, address)}

@hookimpl
def nnqft_drawings():
    return {"shape": lambda diagram: f"{len(diagram.points)} points, {len(diagram.lines)} lines"}
"""


def test_an_executor_and_a_drawing_of_a_stranger(installed, capsys):
    installed(EXTRAS)
    theory = bare_theory("linear", sigma_w=0.5)
    result = nnqft.compute(theory, "two_point", order=1, neval=10_000, executor="counting", workers=3)
    assert result.reason == "counted 4 with 3"
    assert_allclose(result.mean, 0.625, rtol=0.05)
    assert main(["diagrams", "linear", "--order", "1", "--drawing", "shape"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith("2 points, 1 lines") for line in lines) == 1
    assert sum(line.endswith("4 points, 3 lines") for line in lines) == 3


def test_a_broken_stranger_on_the_command_line(fresh, tmp_path):
    put_on_disk(tmp_path, "import not_there", "stranger", "stranger")
    beside = {"PYTHONPATH": str(tmp_path)}
    cause = "ModuleNotFoundError: No module named 'not_there' (stranger.py, line 3)"
    done = fresh.nnqft("plugins", **beside)
    assert done.returncode == 0
    assert f"broken: stranger: {cause}" in done.stdout
    assert done.stderr == f"nnqft: warning: nnqft skipped (part of) plugin 'stranger': {cause}\n"
    asked = fresh.nnqft("rules", "stranger", **beside)
    assert asked.returncode == 2
    assert asked.stderr.splitlines()[-1] == f"nnqft: model 'stranger' cannot be used: {cause}"
    other = fresh.nnqft("compute", "sine", "--order", "0", "--neval", "1000", **beside)
    assert (other.returncode, other.stdout.splitlines()[0][:21]) == (0, "two_point of sine (st")
