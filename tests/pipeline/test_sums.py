"""order="resummed" for every network: what answers, what it says, and how it ends early."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

import nnqft
from nnqft import interrupts
from nnqft.cli.main import main
from nnqft.host import default_host
from nnqft.pipeline.forecast import forecasts
from nnqft.show.watch import OutOfTime
from nnqft_plugins.models.linear import Linear
from nnqft_plugins.networks.finite_width.layers import LayerEngine
from nnqft_plugins.networks.finite_width.rest import RestEngine

LAYERS = nnqft.theory("feedforward", activation="tanh", sigma_w=0.5**0.5, N=50)
FOUR = [(0.0, 0.0, 0.0, 0.0), (0.6, 0.1, 0.3, 0.2)]


def summed(theory, observable, width_order=1, **asked):
    return nnqft.compute(theory, observable, order="resummed", width_order=width_order, **asked)


def test_kernel_variance_is_asked_for_as_a_whole():
    found = summed(LAYERS, "kernel_variance")
    assert found.names == ("(0, 0)",)
    assert found.mean[0] == pytest.approx(0.711611 / 50, rel=1e-5)
    assert found.converged
    assert list(found.bases) == ["kernel_variance"]
    assert summed(LAYERS, "kernel_variance", 0).mean[0] == 0.0
    cumulant = summed(LAYERS, "cumulant", times=FOUR[:1], indices="iijj")
    C = summed(LAYERS, "two_point", 0).mean[0]
    assert found.mean[0] == pytest.approx(cumulant.mean[0] + 2 * C**2 / 50, rel=1e-6)


def test_indices_are_a_pattern():
    wanted = summed(LAYERS, "cumulant", times=[FOUR[1]], indices="iijj").mean
    a, b, c, d = FOUR[1]
    for times, indices in (
        ((a, c, b, d), "ijij"),
        ((c, b, a, d), "ijji"),
        ((c, d, a, b), "iijj"),
        ((a, b, c, d), "kkll"),
    ):
        if indices == "ijji":
            times = (a, c, d, b)
        assert_allclose(summed(LAYERS, "cumulant", times=[times], indices=indices).mean, wanted, rtol=1e-7)
    moment = summed(LAYERS, "four_point", 0, times=[FOUR[1]], indices="iijj").mean
    C = summed(LAYERS, "two_point", 0, times=[(a, b), (c, d)]).mean
    assert_allclose(moment, C[0] * C[1], rtol=1e-9)


def test_a_result_is_kept_and_shown(tmp_path):
    found = summed(LAYERS, "cumulant", times=FOUR, indices="iijj")
    table = found.table()
    assert "cumulant (iijj) of feedforward (stationary), all orders, width order ≤ 1" in table
    assert "extrapolated" in table
    found.save(tmp_path / "r.json")
    again = nnqft.load(tmp_path / "r.json")
    assert again.table() == table
    assert again.request.indices == "iijj"
    variance = summed(LAYERS, "kernel_variance")
    variance.save(tmp_path / "d.json")
    assert nnqft.load(tmp_path / "d.json").table() == variance.table()


def test_each_executor_leaves_it_to_the_caller():
    alone = summed(LAYERS, "two_point")
    for executor in ("local", "processes", "ray"):
        assert_allclose(summed(LAYERS, "two_point", executor=executor).mean, alone.mean, rtol=0)


def test_infinite_width_is_mean_field_theory():
    theory = nnqft.theory("taylor", activation="tanh", sigma_w=1.5, N=10**9)
    found = summed(theory, "response", 0, tau=[0.0, 0.5])
    assert_allclose(found.mean, [0.0, np.exp(-0.5)], rtol=1e-12)
    assert found.notes[-1].endswith("N^-1 is left out, it would change this by up to 0.0%")


class Stranger(nnqft.AbstractModel):
    """With a sum of the four arguments that there always were."""

    name, starts, parameters = "stranger", ("stationary",), Linear.parameters

    def theory(self, start, values):
        return replace(Linear().theory(start, values), model=self.name)

    def resummed(self, theory, observable, width, times):
        return np.full(len(times), 2.0**-width), np.zeros(len(times))


class Telling(Stranger):
    """With indices and notes."""

    name = "telling"

    def resummed(self, theory, observable, width, times, indices=None):
        return np.ones(len(times)), np.zeros(len(times)), [f"indices are {indices}"]


@pytest.fixture
def installed(monkeypatch):
    table = default_host().table("model")
    for model in (Stranger(), Telling()):
        monkeypatch.setitem(table, model.name, (model, "test"))


def test_strangers_sums_go_on(installed):
    assert summed(nnqft.theory("stranger"), "two_point", 2).mean[0] == 1.75
    with pytest.raises(nnqft.InputError, match="model 'stranger' has no resummed form of them; write a whole"):
        summed(nnqft.theory("stranger"), "cumulant", times=FOUR, indices="iijj")
    assert summed(nnqft.theory("telling"), "two_point", 0).notes[0] == "indices are None"


def test_nonsense_of_a_sum_is_blamed_on_it(monkeypatch):
    for nonsense in (3, (np.ones(1),), (np.ones(7), np.ones(7)), (np.array([np.nan]), np.ones(1)), ("a", "b")):
        monkeypatch.setattr(
            default_host(), "_tables", {**default_host().found, "sum": {"mad": (lambda *asked, x=nonsense: x, "mad")}}
        )
        with pytest.raises(nnqft.PluginError, match="sum 'mad': its resummed form"):
            summed(LAYERS, "two_point")


REFUSED = {
    "wanted at most|reaches to": {"times": [(300.0, 1.0)]},
    "indices='ij' have no resummed form of 'two_point'; leave indices out": {"indices": "ij"},
    "'cumulant' of one unit with 4 legs has no resummed form; write indices='iijj'": {
        "observable": "cumulant", "times": FOUR,
    },
    "indices='iiij' has no resummed form; write indices='iijj'": {
        "observable": "cumulant", "times": FOUR, "indices": "iiij",
    },
    "has 3 letters, 'cumulant' has 4 legs": {"observable": "cumulant", "times": FOUR, "indices": "iij"},
    "networks are summed for width_order=0 and 1; write one": {"width_order": 2},
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    theory = nnqft.theory("cubic_tanh", start="rest", expansion="bare", sigma_w=0.5)
    asked = {"observable": "two_point", "times": [(0.5, 0.5)], "width_order": 1} | REFUSED[message]
    with pytest.raises(nnqft.InputError, match=message):
        summed(theory, **asked)


def test_kept_tadpoles_are_another_sum():
    theory = nnqft.theory("cubic_tanh", sigma_w=0.4, averages="polynomial", tadpoles="kept")
    with pytest.raises(nnqft.InputError, match="write tadpoles='cancelled'"):
        summed(theory, "two_point")


SLOW = nnqft.theory("cubic_tanh", start="rest", expansion="bare", sigma_w=0.5, N=100)


def test_a_time_limit_leaves_what_was_summed(monkeypatch):
    def late(self, times):
        raise OutOfTime

    monkeypatch.setattr(RestEngine, "two_point", late)
    found = summed(SLOW, "two_point", times=[(1.0, 1.0)], time_limit=60.0)
    assert found.reason == "time limit of 60 s reached"
    assert not found.converged
    assert list(found.series) == [("resummed", 0)]
    assert "missing from the sum: width order 1" in found.notes
    assert found.truncation[0] > 0.0
    with pytest.raises(nnqft.IntegrationError, match="before anything was summed"):
        summed(SLOW, "two_point", times=[(1.0, 1.0)], time_limit=1e-4)


def test_a_time_limit_costs_the_finest_grid(monkeypatch):
    whole = summed(SLOW, "cumulant", times=[(1.0,) * 4], indices="iijj")
    make = RestEngine._grid

    def limited(self, steps, degree):
        if steps > 3 * self._fourths:
            raise OutOfTime
        return make(self, steps, degree)

    monkeypatch.setattr(RestEngine, "_grid", limited)
    found = summed(SLOW, "cumulant", times=[(1.0,) * 4], indices="iijj")
    assert any("no finer one in the time there was" in note for note in found.notes)
    assert found.total.rounding[0] > whole.total.rounding[0]
    assert abs(found.mean[0] - whole.mean[0]) < found.total.rounding[0]


def test_an_interrupt_leaves_what_was_summed(monkeypatch):
    def interrupted(self, times):
        raise KeyboardInterrupt

    monkeypatch.setattr(LayerEngine, "two_point", interrupted)
    found = summed(LAYERS, "two_point")
    assert found.reason == "interrupted"
    assert not found.converged
    assert list(found.series) == [("resummed", 0)]
    assert interrupts.was_noted()
    interrupts.forget()


def test_a_forecast_of_a_long_sum_comes_soon():
    (found,) = forecasts(SLOW, "two_point", order="resummed", width_order=1, times=[(12.0, 12.0)])
    assert found.seconds > 1.0
    assert "whatever the executor" in found.notes[0]


def test_command_line(tmp_path, capsys):
    words = ["compute", "feedforward", "-p", "activation=tanh", "--order", "resummed", "-k", "1"]
    file = tmp_path / "c.json"
    cumulant = ["-O", "cumulant", "--indices", "iijj", "--times", "0,0,0,0"]
    assert main([*words, *cumulant, "--progress", "--json", str(file)]) == 0
    assert "all orders" in capsys.readouterr().out
    assert json.loads(file.read_text())["request"]["indices"] == "iijj"
    assert main([*words, "-O", "kernel_variance", "--executor", "processes"]) == 0
    assert "kernel_variance" in capsys.readouterr().out
    assert main(["compute", "quintic", "--order", "resummed", "-k", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
