"""Derived observables: their numbers against oracles, their errors against many seeds, and what holds them together."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import gvar
import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from sites import Sites
from theories import bare_theory

import nnqft
from nnqft import AbstractDerivedObservable, Need
from nnqft.cli.main import main
from nnqft.host import default_host
from nnqft_plugins.networks.simulation import simulate
from nnqft_plugins.observables.correlation_length import CorrelationLength
from nnqft_plugins.observables.response_poles import ResponsePoles

RATES = {"gamma": 1.3, "kappa": 0.8}


def linear(**extra) -> nnqft.Theory:
    return bare_theory("linear", **(RATES | {"sigma_w": 0.5, "N": 20} | extra))


def exact(theory: nnqft.Theory, observable: Any, **options) -> Any:
    return nnqft.compute(theory, observable, neval=1, **options)


def oracle(tau: Any, theory: nnqft.Theory, order: int) -> np.ndarray:
    """C(τ) of the linear network to an order, all widths, without diagrams."""
    p = theory.parameters
    lags = np.atleast_1d(tau)
    times = np.column_stack([lags, np.zeros_like(lags)])
    table = oracles.linear_two_point(times, order=order, sigma_b=p["sigma_b"], **RATES)
    powers = p["sigma_w"] ** (2 * np.arange(order + 1))
    return np.einsum("nkm,n,k->m", table, powers, float(p["N"]) ** -np.arange(order + 1))


@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
def test_correlation_length_of_the_linear_network(sigma_b):
    theory, order = linear(sigma_b=sigma_b), 2
    found = exact(theory, "correlation_length", order=order, tau=[0.3, 0.9, 2.0])
    # The bias part does not depend on τ, so without it C decays to 0.
    bare = linear(sigma_b=0.0)
    start = oracle(0.0, bare, order)[0]
    area, _ = quad(lambda t: oracle(t, bare, order)[0], 0, 40, epsrel=1e-9)
    lags = np.array([0.3, 0.9, 2.0])
    slope = np.polyfit(lags, np.log(oracle(lags, bare, order)), 1)[0]
    assert found.names == ("short_time", "integral", "fit")
    assert_allclose(found.mean, [2 * start / RATES["kappa"], area / start, -1 / slope], rtol=1e-7)
    assert not found.sdev.any()


def test_three_definitions_agree_for_one_exponential():
    found = exact(nnqft.theory("langevin", drift={1: 1.7}, noise=0.6), "correlation_length", order=0)
    assert_allclose(found.mean, 1 / 1.7, rtol=1e-10)


def test_a_nonlinear_mean_is_a_plateau():
    """At one site with even powers C(τ) comes down to ⟨h⟩², here to second order."""
    theory = bare_theory("taylor", coefficients={0: 0.3, 1: 1.0, 2: -0.4}, sigma_w=0.3, **RATES)
    found = exact(theory, "effective_bias", order=2)
    phi = {0: 0.3, 1: 1.0, 2: -0.4}
    plateau = oracles.one_site(phi, [(390.0, 0.0)], order=2, **RATES)[:, 0] @ (0.09 ** np.arange(3))
    assert plateau != 0
    assert_allclose(found.mean, [1.3**2 * plateau, (1.3**2 - 0.09) * plateau], rtol=1e-9)


def test_effective_bias_at_infinite_width_is_the_bias():
    theory = linear(sigma_b=0.4, sigma_u=0.5, q=0.6, sigma_w=0.3)
    found = exact(theory, "effective_bias", order=8, width_order=0)
    assert found["bias"].mean == pytest.approx(0.4**2 + 0.5**2 * 0.6, rel=1e-9)
    assert found["drive"].mean == pytest.approx(1.3**2 / (1.3**2 - 0.09) * 0.31, rel=1e-9)


def test_effective_bias_without_any_is_zero():
    assert exact(linear(), "effective_bias", order=2).mean.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("phi", "sigma_b", "N"),
    [({1: 1.0}, 0.4, 3), ({1: 1.0, 3: -1 / 3}, 0.0, 2), ({0: 0.3, 1: 1.0, 2: -0.4}, 0.0, 2)],
    ids=["linear with bias", "cubic", "even powers"],
)
def test_kernel_variance_at_few_sites(phi, sigma_b, N):
    """Against moments of few sites; what is left over is of the first order left out."""
    sites, order, t, s = Sites(phi, N, 1, sigma_b), 1, 0.6, 0.0
    one = sites.moment([(0, t), (0, s)])
    square = np.zeros(order + 1)
    for i in range(N):
        for j in range(N):
            square += sites.moment([(i, t), (i, s), (j, t), (j, s)]) / N**2
    wanted = square - np.convolve(one, one)[: order + 1]
    left = []
    for g in (1e-3, 2e-3):
        theory = bare_theory("taylor", coefficients=phi, sigma_b=sigma_b, N=N, sigma_w=np.sqrt(g), **RATES)
        found = exact(theory, "kernel_variance", order=order, times=[(t, s)])
        assert found.names == ("(0.6, 0)",)
        left.append(found.mean[0] - wanted @ g ** np.arange(order + 1))
    assert abs(left[0]) < 1e-5 * wanted[0]
    assert left[1] / left[0] == pytest.approx(4, rel=0.02) or abs(left[1]) < 1e-14


def test_poles_of_the_linear_response():
    """To first order in 1/N: e^{−γτ} [1 + (cosh σ_w τ − 1)/N], so poles at −γ and −γ ± σ_w."""
    found = exact(linear(sigma_w=0.4, N=50), "response_poles", order=7, width_order=1)
    rates = [found[f"rate {n}"].mean for n in (1, 2, 3)]
    assert_allclose(rates, [0.9, 1.3, 1.7], rtol=1e-5)
    assert not any(found[f"frequency {n}"].mean for n in (1, 2, 3))


def test_poles_at_infinite_width():
    found = exact(linear(), "response_poles", order=2, width_order=0)
    assert found["rate 1"].mean == pytest.approx(1.3, rel=1e-9)
    assert np.isnan(found["rate 2"].mean)
    assert any("no value of rate 2" in note for note in found.notes)
    assert "nan" in found.table()


def test_an_oscillating_response_and_its_errors():
    """Prony's method on samples of known exponentials; errors against the spread of noisy repetitions."""
    lags = np.arange(1, 5) * 0.4
    times = np.column_stack([lags, 0 * lags])
    truth = np.exp(-0.7 * lags) * np.cos(1.1 * lags)
    rng, sdev = np.random.default_rng(5), 1e-4

    def poles(samples: Any) -> Mapping[str, Any]:
        return ResponsePoles().derive(linear(), times, {"response": samples})

    found = poles(gvar.gvar(truth, [sdev] * 4))
    means = [gvar.mean(found[name]) for name in ("rate 1", "frequency 1", "rate 2", "frequency 2")]
    assert_allclose(means, [0.7, 1.1, 0.7, -1.1], rtol=1e-6)
    spread = [
        [gvar.mean(found[name]) for name in ("rate 1", "frequency 1")]
        for found in (poles(gvar.gvar(truth + sdev * rng.standard_normal(4), [0.0] * 4)) for _ in range(400))
    ]
    stated = [gvar.sdev(found[name]) for name in ("rate 1", "frequency 1")]
    assert_allclose(np.std(spread, axis=0), stated, rtol=0.15)


def test_errors_of_sampled_numbers_are_honest():
    """Pulls over seeds; the covariance between lags matters, as their errors are nearly the same."""
    theory = linear(sigma_b=0.4)
    options = {"order": 1, "tau": [0.5, 1.5]}
    truth = exact(theory, "correlation_length", **options).mean
    found = [
        nnqft.compute(theory, "correlation_length", neval=4000, integrator="vegas", seed=seed, **options)
        for seed in range(25)
    ]
    pulls = np.array([(each.mean - truth) / each.sdev for each in found])
    assert (np.abs(pulls) < 5).all()
    assert_allclose((pulls**2).mean(axis=0), 1, atol=0.9)
    # Without correlations the error of ln C(0.5) − ln C(1.5) would be another.
    assert all(abs(each.cov[0, 2]) > 0 for each in found)


def test_one_evaluation_serves_all(monkeypatch):
    from nnqft.pipeline.run import run

    asked = []

    def counted(theory, request, effort):
        asked.append(request.observable)
        return run(theory, request, effort)

    # By their paths: `nnqft.pipeline.compute` is a module, and holds the function of the same name.
    monkeypatch.setattr("nnqft.pipeline.derived.run", counted)
    monkeypatch.setattr("nnqft.pipeline.compute.run", counted)
    theory = linear(sigma_b=0.4)
    found = nnqft.compute(theory, ["correlation_length", "effective_bias", "two_point"], order=1, neval=1)
    assert list(found) == ["correlation_length", "effective_bias", "two_point"]
    # One for both derived ones, one for what was asked by itself.
    assert asked == ["two_point", "two_point"]
    length, bias = found["correlation_length"], found["effective_bias"]
    assert length.bases["two_point"] is bias.bases["two_point"]
    alone = exact(theory, "effective_bias", order=1)
    assert_allclose(bias.mean, alone.mean, rtol=1e-13)


def test_order_by_order():
    theory = linear(sigma_b=0.4)
    found = exact(theory, "correlation_length", order=3)
    assert found.by_order.shape == (4, 3)
    assert_allclose(found.by_order[3], found.mean, rtol=1e-12)
    lower = exact(theory, "correlation_length", order=1)
    assert_allclose(found.by_order[1], lower.mean, rtol=1e-12)
    narrow = exact(theory, "correlation_length", order=2, width_order=0)
    assert_allclose(found.partial(2, width_order=0), narrow.mean, rtol=1e-12)
    with pytest.raises(nnqft.InputError, match="was not computed, only order ≤ 3"):
        found.partial(4)


def test_round_trip(tmp_path):
    found = exact(linear(), ["response_poles", "kernel_variance"], order=1, width_order=0)
    for name, each in found.items():
        each.save(tmp_path / name)
        json.loads((tmp_path / name).read_text())
        again = nnqft.load(tmp_path / name)
        assert again.table() == each.table()
        assert again.names == each.names
        assert_allclose(again.mean, each.mean)
        assert_allclose(again.cov, each.cov)
        assert_allclose(again.by_order, each.by_order)
        assert_allclose(again.partial(1), each.partial(1))


@pytest.mark.parametrize("key", ["names", "mean", "bases", "by_order"])
def test_a_damaged_file(tmp_path, key):
    path = tmp_path / "d.json"
    exact(linear(), "effective_bias", order=0).save(path)
    data = json.loads(path.read_text())
    del data[key]
    path.write_text(json.dumps(data))
    with pytest.raises(nnqft.InputError, match="changed or damaged after"):
        nnqft.load(path)
    path.write_text(json.dumps(data | {"checksum": None}))
    with pytest.warns(UserWarning, match="unchecked"), pytest.raises(nnqft.InputError, match="is damaged"):
        nnqft.load(path)


def test_plots(tmp_path):
    points = exact(linear(), "correlation_length", order=1).plot()
    assert [label.get_text() for label in points.get_xticklabels()] == ["short_time", "integral", "fit"]
    found = exact(linear(), "kernel_variance", order=1, tau=[0.0, 1.0, 0.5])
    curve = found.plot()
    assert curve.get_lines()[0].get_xdata().tolist() == [0.0, 0.5, 1.0]
    assert curve.get_ylabel() == "kernel_variance"


class Ratio(AbstractDerivedObservable):
    """A stranger's."""

    name = "ratio"
    arity = 2

    def needs(self, theory: nnqft.Theory, times: np.ndarray | None) -> Mapping[str, Need]:
        return {"C": Need("two_point", ((1.0, 0.0), (0.0, 0.0)))}

    def derive(self, theory: nnqft.Theory, times: Any, values: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        return {"C(1)/C(0)": values["C"][0] / values["C"][1]}


@pytest.fixture
def stranger(monkeypatch):
    plugin = Ratio()
    monkeypatch.setitem(default_host().found["observable"], "ratio", (plugin, "third"))
    return plugin


def test_a_third_partys_observable(stranger):
    found = exact(linear(), "ratio", order=0)
    assert found["C(1)/C(0)"].mean == pytest.approx(np.exp(-1.3))


@pytest.mark.parametrize(
    ("method", "answer", "message"),
    [
        ("needs", [1], r"observable 'ratio' needs \[1\], wanted a mapping of names to Need"),
        ("needs", {"C": Need("ratio", ((0.0, 0.0),))}, "needs 'ratio', which is derived, too"),
        ("derive", 3.0, r"observable 'ratio' derived 3.0, wanted a mapping of names to numbers"),
        ("derive", {"x": 1j}, r"observable 'ratio' derived x=1j, wanted a real number"),
        ("derive", {"x": "b"}, r"observable 'ratio' derived x='b', wanted a real number"),
        ("derive", {"x": np.zeros(3)}, r"observable 'ratio' derived x=array.*, wanted a real number"),
        ("derive", ZeroDivisionError("by zero"), "observable 'ratio' raised ZeroDivisionError: by zero"),
    ],
)
def test_a_strangers_nonsense(stranger, monkeypatch, method, answer, message):
    def reply(*_):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(stranger, method, reply)
    with pytest.raises(nnqft.PluginError, match=message):
        exact(linear(), "ratio", order=0)


REST = bare_theory("linear", start="rest")


@pytest.mark.parametrize(
    ("theory", "observable", "options", "message"),
    [
        (REST, "correlation_length", {}, "needs a stationary process in time, write start='stationary'"),
        (REST, "kernel_variance", {}, "times are missing, write times of shape"),
        (nnqft.theory("feedforward"), "correlation_length", {}, "no short-time correlation length"),
        (nnqft.theory("toy", action={4: 1.0}), "correlation_length", {}, "needs a stationary process in time"),
        (nnqft.theory("langevin"), "effective_bias", {}, "effective_bias needs a network"),
        (linear(), "correlation_length", {"tau": [1.0]}, "write two or more, or none"),
        (linear(), "correlation_length", {"indices": "ij"}, "'correlation_length' chooses the indices of its legs"),
        (linear(), "response_poles", {"tau": [0.5, 1.0, 1.7, 2.0]}, "even number of equally spaced lags"),
        (linear(), "response_poles", {"tau": [0.5, 1.0, 1.5]}, "even number of equally spaced lags"),
        (linear(), "kernel_variance", {"tau": [0.0, 0.0]}, "times hold a pair twice"),
        (linear(), ["two_point", "two_point"], {}, "wanted a name or several different ones"),
        (linear(), [], {}, "wanted a name or several different ones"),
        (linear(), 3, {}, "wanted a name or several different ones"),
        (linear(), ["correlation_lenth"], {}, "did you mean 'correlation_length'"),
    ],
)
def test_what_makes_no_sense(theory, observable, options, message):
    with pytest.raises(nnqft.InputError, match=None) as caught:
        exact(theory, observable, order=1, **options)
    assert message in str(caught.value)


def test_derived_observables_have_no_diagrams():
    with pytest.raises(nnqft.InputError, match="is derived and has no diagrams"):
        nnqft.diagrams(linear(), "correlation_length", order=1)


def test_a_tolerance_is_relative_to_the_largest_value():
    """The far tail of C(τ) is 0 ± something, which no relative error could be asked of."""
    found = nnqft.compute(linear(), "correlation_length", order=1, rtol=1e-2, integrator="vegas")
    assert found.converged
    (base,) = found.bases.values()
    assert base.request.rtol is None
    assert base.request.atol == pytest.approx(1e-2 * 0.8 / 2.6)
    assert (base.sdev <= base.request.atol).all()


def test_command_line(tmp_path, capsys):
    files = ["--json", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.png")]
    common = ["compute", "linear", "-p", "N=20", "-p", "sigma_b=0.3", "-n", "1", "--rtol", "1e-3"]
    assert main([*common, "-O", "correlation_length", *files]) == 0
    assert "short_time" in capsys.readouterr().out
    assert nnqft.load(tmp_path / "a.json").observable == "correlation_length"
    assert main([*common, "-O", "correlation_length,effective_bias", *files]) == 0
    printed = capsys.readouterr().out
    assert "short_time" in printed
    assert "drive" in printed
    assert (tmp_path / "a_effective_bias.json").exists()
    assert (tmp_path / "a_correlation_length.png").exists()
    assert main(["compute", "linear", "-O", "correlation_lengths", "--rtol", "1e-3"]) == 2


def test_kernel_variance_of_simulated_networks():
    """Against the spread of simulated networks, at a coupling where the series has ended."""
    theory = linear(sigma_w=0.35, N=15, sigma_b=0.3)
    found = exact(theory, "kernel_variance", order=3, width_order=2, tau=[0.0, 1.0])
    measured = simulate(theory, tau=[0.0, 1.0], networks=3000, kernel=True, seed=2)
    left_open = np.abs(found.by_order[3] - found.by_order[2])
    assert (left_open < 5e-3 * found.mean).all()
    assert (np.abs(found.mean - measured.kernel) < 3.5 * measured.kernel_error + left_open).all()
    # That networks differ in their weights is most of it, and is seen.
    assert (found.mean - found.by_order[0] > 20 * measured.kernel_error).all()


def test_poles_of_all_orders_together():
    found = nnqft.compute(linear(sigma_w=0.9), "response_poles", order="resummed", width_order=1)
    assert_allclose([found[f"rate {n}"].mean for n in (1, 2, 3)], [0.4, 1.3, 2.2], rtol=1e-8)
    assert found.by_order.shape == (0, 6)
    with pytest.raises(nnqft.InputError, match="was not computed, order by order"):
        found.partial(0)


def test_different_units_have_no_resummed_form():
    with pytest.raises(nnqft.InputError, match="indices='ij' have no resummed form"):
        nnqft.compute(linear(), "two_point", order="resummed", width_order=0, indices="ij")


# What a method leaves uncertain


def test_a_fit_to_exact_numbers_is_not_exact():
    """Of a truncated series R is no sum of three exponentials; of all orders it is, and the fit says so."""
    theory = nnqft.theory("linear", N=20, sigma_w=0.5)
    short = nnqft.compute(theory, "response_poles", order=4)
    assert short.sdev[0] == 0
    assert short.method_error[0] > 1e-4
    assert abs(short["rate 1"].mean - 0.5) < 30 * short["rate 1"].sdev
    assert re.search(r"rate 1 +0\.\d+\(\d+\) +– +\d\.\de-\d\d", short.table())
    assert "method error" in short.table()
    assert any("method error" in note for note in short.notes)
    whole = nnqft.compute(theory, "response_poles", order="resummed", width_order=1)
    assert not whole.method_error.any()
    assert "method error" not in whole.table()
    assert_allclose([whole.mean[0], whole.mean[4]], [0.5, 1.5], rtol=1e-6)


def test_a_fit_that_leaves_no_test_is_unknown():
    theory = nnqft.theory("linear", N=20, sigma_w=0.5)
    two = nnqft.compute(theory, "correlation_length", order=2, tau=[0.5, 1.0])
    assert np.isnan(two.method_error[two.names.index("fit")])
    assert "?" in two.table()
    assert two["fit"].sdev == 0


def test_the_error_of_a_quadrature_is_about_its_size():
    """Lines e^{−3τ} and e^{−τ}: the rule is made for the slower one."""
    observable, theory = CorrelationLength(), nnqft.theory("linear")
    for rate in (1.0, 2.0, 3.0, 6.0):
        values = {
            name: np.exp(-rate * np.array([lag for lag, _ in need.times]))
            for name, need in observable.needs(theory, None).items()
        }
        said = observable.method_error(theory, None, values)["integral"]
        known = abs(observable.derive(theory, None, values)["integral"] - 1 / rate)
        assert known <= 10 * said + 1e-9
        assert said <= 100 * known + 1e-8


def test_method_errors_survive_a_file(tmp_path):
    theory = nnqft.theory("linear", N=20, sigma_w=0.5)
    found = nnqft.compute(theory, "response_poles", order=3)
    found.save(tmp_path / "poles.json")
    again = nnqft.load(tmp_path / "poles.json", nnqft.Derived)
    assert_allclose(again.method_error, found.method_error)
    assert again.table() == found.table()


def test_what_is_exact_has_none():
    theory = nnqft.theory("linear", N=20, sigma_w=0.5, sigma_b=0.3)
    assert not nnqft.compute(theory, "effective_bias", order=2).method_error.any()


def test_exact_parts_say_nothing_of_a_sampled_whole():
    theory = nnqft.theory("taylor", activation="tanh", N=20)
    table = nnqft.compute(theory, "kernel_variance", order=1).table()
    assert "target met" in table
    assert "integrals are exact" not in table


def test_an_even_activation_has_a_plateau():
    """⟨φ⟩² of φ = c h² drives each unit for ever: C(∞) = σ_w² c² C(0)²/γ² at order 1, though no vertex is odd."""
    theory = nnqft.theory("taylor", coefficients={2: 0.3}, N=100, sigma_w=0.5, expansion="bare")
    found = nnqft.compute(theory, "effective_bias", order=1, width_order=0)
    assert abs(found["drive"].mean - 0.25 * 0.09 * 0.25) < 1e-12
