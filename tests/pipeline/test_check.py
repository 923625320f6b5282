"""A theory against its own simulation: honest pulls, wrong theories found, everything that may come out of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import chi2, kstest

import nnqft
from nnqft.cli.main import main
from nnqft_plugins.networks.network import network_of

REST = {"start": "rest", "N": 20, "sigma_w": 0.4}


def test_pulls_of_a_theory_that_is_exact_are_normal():
    """All orders to 1/N² leave out a thousandth of the error of so few networks, or less."""
    theory = nnqft.theory("linear", **REST)
    ask = {"times": [(1.0, 0.7)], "order": "resummed", "width_order": 2, "samples": 20}
    runs = [nnqft.check(theory, "two_point", seed=seed, **ask) for seed in range(120)]
    assert all(run.compared[0].left_out[0] < 1e-2 * run.simulated[0].sdev[0] for run in runs)
    pulls = np.array([run.agreement[0, 0] for run in runs])
    assert kstest(pulls, "norm").pvalue > 1e-2
    total = float((pulls**2).sum())
    assert min(chi2.cdf(total, 120), chi2.sf(total, 120)) > 1e-3
    assert min(chi2.cdf(2.25 * total, 120), chi2.sf(2.25 * total, 120)) < 1e-3, "wrong errors would go unnoticed"
    assert sum(run.disagrees for run in runs) <= 2


class Stranger(nnqft.AbstractModel):
    """Linear networks, or what somebody takes for them."""

    name = "stranger"

    def __init__(self, factor: float) -> None:
        from nnqft.host import default_host

        self.factor, self.linear = factor, default_host().model("linear")
        self.parameters = self.linear.parameters

    def theory(self, start: str, values: Any) -> nnqft.Theory:
        rules = self.linear.theory(start, values)
        vertices = tuple(
            replace(vertex, coefficient=self.factor * vertex.coefficient) if vertex.couplings else vertex
            for vertex in rules.vertices
        )
        return replace(rules, model=self.name, vertices=vertices)


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (1.1, False), (0.9, False)])
def test_a_wrong_factor_in_a_strangers_model_is_found(factor, right):
    phi = network_of(nnqft.theory("linear")).activation
    theory = nnqft.theory(Stranger(factor), **REST)
    found = nnqft.check(theory, "two_point", times=[(1.0, 1.0), (2.0, 1.0)], order=3, samples=200, activation=phi)
    assert found.agrees is right
    assert found.disagrees is not right
    assert ("DISAGREE" in found.table()) is not right


CASES = [
    ("linear", "two_point", {"tau": [0.0, 1.0]}),
    ("linear", "response", {"tau": [0.5, 2.0]}),
    ("linear", "gradient", {"tau": [0.0, 1.0]}),
    ("linear", "mean", {}),
    ("linear", "cumulant", {"times": [(0.0, 0.0, 0.5, 0.5)], "indices": "iijj"}),
    ("linear", "four_point", {"times": [(0.0, 0.0, 0.0, 0.0)]}),
    ("linear", "kernel_variance", {"times": [(0.0, 0.0), (1.0, 0.0)]}),
    ("linear", "correlation_length", {}),
    ("linear", "effective_bias", {}),
    ("feedforward", "kernel_variance", {}),
    ("taylor", "cumulant", {"times": [(0.0, 0.0)], "order": 1}),
]


@pytest.mark.parametrize(("model", "observable", "ask"), CASES, ids=[f"{m} {o}" for m, o, _ in CASES])
def test_models_and_observables_agree_with_their_simulation(model, observable, ask):
    theory = nnqft.theory(model, N=20, sigma_w=0.3, sigma_b=0.2 if observable == "effective_bias" else 0.0)
    found = nnqft.check(theory, observable, samples=100, seed=2, **ask)
    assert found.agrees, found
    assert found.converged
    assert found.verdict in found.table().replace("\n", " ")
    assert np.isfinite(found.agreement).all()


def test_several_widths_are_rows_of_one_table():
    found = nnqft.check(nnqft.theory("linear", sigma_w=0.5), tau=[0.0, 1.0], N=[20, 40], samples=100)
    assert found.agreement.shape == (2, 2)
    assert [each.N for each in found.compared] == [20, 40]
    assert found.theory[1].request.parameters == tuple(nnqft.theory("linear", sigma_w=0.5, N=40).parameters.items())
    assert "width order 0 alone is off by" in found.verdict  # 1/N is needed
    rows = [line.split() for line in found.table().splitlines() if line.startswith(("  20 ", "  40 "))]
    assert [row[:2] for row in rows] == [["20", "0"], ["20", "1"], ["40", "0"], ["40", "1"]]
    infinite = nnqft.check(nnqft.theory("linear", sigma_w=0.5, N=20), order="resummed", width_order=0, samples=400)
    assert "width order 0 alone" not in infinite.verdict  # it is all there is


def test_what_theory_leaves_out_is_part_of_the_error():
    theory = nnqft.theory("linear", N=4, start="rest", sigma_w=0.8)
    found = nnqft.check(theory, times=[(2.0, 2.0)], width_order=0, order="resummed", samples=1000)
    (each,) = found.compared
    assert each.combined[0] >= each.left_out[0] > 5 * each.simulated.sdev[0]
    assert found.agrees
    assert abs(each.simulated.mean - each.theory.mean)[0] > 5 * each.simulated.sdev[0]


def test_a_file_holds_everything(tmp_path):
    theory = nnqft.theory("linear", N=20, sigma_w=0.4)
    for observable in ("two_point", "kernel_variance"):
        found = nnqft.check(theory, observable, samples=60)
        found.save(tmp_path / "check.json")
        back = nnqft.load(tmp_path / "check.json", nnqft.Check)
        assert back.table() == found.table()
        assert_array_equal(back.agreement, found.agreement)
        assert back.plot().get_ylabel() == observable
    phi = network_of(nnqft.theory("linear")).activation
    theirs = nnqft.check(
        nnqft.theory(Stranger(1.0), **REST), "kernel_variance", times=[(1, 1)], samples=9, activation=phi
    )
    theirs.save(tmp_path / "theirs.json")
    assert nnqft.load(tmp_path / "theirs.json").table() == theirs.table()  # a model that is not installed
    data = json.loads((tmp_path / "check.json").read_text())
    assert data["agrees"] is True
    data["compared"][0]["simulated"]["mean"] = [1.0, 2.0]
    data["checksum"] = None
    (tmp_path / "check.json").write_text(json.dumps(data))
    with pytest.warns(UserWarning, match="unchecked"), pytest.raises(nnqft.InputError, match="damaged"):
        nnqft.load(tmp_path / "check.json")


def test_the_command_and_its_status(tmp_path, capsys, monkeypatch):
    plot, data = tmp_path / "c.png", tmp_path / "c.json"
    ask = ["check", "linear", "-p", "sigma_w=0.4", "--widths", "20,30", "--samples", "60", "--tau", "0,1"]
    assert main([*ask, "--json", str(data), "--plot", str(plot)]) == 0
    assert "theory and simulation agree" in capsys.readouterr().out
    assert nnqft.load(data).agrees
    assert plot.stat().st_size > 5000
    assert main([*ask, "--rtol", "1e-9"]) == 3
    assert "simulation of N = 20 not to its target" in capsys.readouterr().out.replace("\n", " ")
    real = nnqft.Check.agreement
    monkeypatch.setattr(nnqft.Check, "agreement", property(lambda self: real.fget(self) + 9))
    assert main(ask) == 4
    assert "DISAGREE" in capsys.readouterr().out
    assert main([*ask, "--rtol", "1e-9"]) == 4
    capsys.readouterr()
    assert main(["check", "langevin"]) == 2
    assert "no simulation to check with" in capsys.readouterr().err


class Impatient(nnqft.AbstractExecutor):
    """Ctrl-C comes with so many batches."""

    name = "impatient"

    def __init__(self, batches: int) -> None:
        self.left = batches

    def evaluate(self, work: Sequence[nnqft.Work], target: nnqft.Target, progress: Callable) -> nnqft.Outcome:
        raise KeyboardInterrupt

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        for item in items:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            yield function(item)


@pytest.mark.parametrize("batches", [3, 12])
def test_an_interrupt_hands_back_what_there_is(batches):
    theory = nnqft.theory("linear", sigma_w=0.4)
    found = nnqft.check(theory, N=[20, 30], samples=160, executor=Impatient(batches))
    assert not found.converged
    assert found.reason == "interrupted"
    assert [each.N for each in found.compared] == ([20] if batches == 3 else [20, 30])
    assert "interrupted" in found.table()
    with pytest.raises(KeyboardInterrupt):
        nnqft.check(theory, N=20, samples=160, executor=Impatient(0))


def test_a_time_limit_hands_back_what_there_is():
    theory = nnqft.theory("linear", sigma_w=0.4)
    found = nnqft.check(theory, N=[20, 30], samples=10**7, time_limit=1.0)
    assert not found.converged
    assert math.isfinite(found.agreement[0, 0])
    with pytest.raises(nnqft.IntegrationError, match="time limit of 1e-09 s reached before"):
        nnqft.check(theory, time_limit=1e-9)


BAD = [
    (lambda: nnqft.check("linear"), "wanted a Theory"),
    (lambda: nnqft.check(nnqft.theory("toy", action={4: 0.1}), "two_point"), "no simulation to check with: .*'toy'"),
    (lambda: nnqft.check(nnqft.theory("quintic")), "no simulation to check with: .*'quintic'"),
    (lambda: nnqft.check(nnqft.theory("linear"), ["two_point"]), "wanted the name of one"),
    (lambda: nnqft.check(nnqft.theory("linear"), "two_poin"), "unknown observable 'two_poin'"),
    (lambda: nnqft.check(nnqft.theory("linear"), N=[]), "wanted one width or several"),
    (lambda: nnqft.check(nnqft.theory("linear"), N=[20, 20]), "wanted one width or several"),
    (lambda: nnqft.check(nnqft.theory("linear"), N=2.5), "N=2.5: wanted a whole number"),
    (lambda: nnqft.check(nnqft.theory("linear"), samples=1), "samples=1: wanted a whole number ≥ 2"),
    (lambda: nnqft.check(nnqft.theory("linear"), rtol=-1.0), "rtol=-1.0"),
    (lambda: nnqft.check(nnqft.theory("linear"), step=0.1), "exact networks have no steps"),
    (lambda: nnqft.check(nnqft.theory("linear"), tau=[0.0], times=[(0, 0)]), "both times and tau"),
    (lambda: nnqft.check(nnqft.theory("linear"), "kernel_variance", indices="iijj"), "leave indices out"),
    (lambda: nnqft.check(nnqft.theory("linear", N=1), "cumulant", times=[(0, 0)], indices="ij"), "2 different units"),
    (lambda: nnqft.check(nnqft.theory("linear"), "cumulant", times=[(0,) * 8]), "wanted at most 6"),
    (lambda: nnqft.check(nnqft.theory("feedforward"), "gradient"), "not simulated for layers"),
    (lambda: nnqft.check(nnqft.theory("linear"), width=2), "unknown keyword 'width'"),
]


@pytest.mark.parametrize(("act", "message"), BAD)
def test_bad_input_is_one_line_and_nothing_is_computed(act, message):
    with pytest.raises(nnqft.InputError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)
