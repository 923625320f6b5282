"""A kernel without a value at a single point costs its own diagrams, and nothing else; the point is named."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import broken_kernels
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import nnqft
from nnqft.cli.options import Output
from nnqft.cli.output import finish
from nnqft.errors import PluginError, PointError
from nnqft.host import running
from nnqft.integrals.integral import Branch
from nnqft.integrals.kernels import call_kernel

REQUEST = {"order": 2, "tau": [0.0, 0.5], "neval": 60_000, "seed": 3}
BAD = {
    "nan": broken_kernels.returns_nan,
    "inf": broken_kernels.returns_inf,
    "raises": broken_kernels.raises,
    "raises what cannot travel": broken_kernels.raises_awkwardly,
    "is complex": broken_kernels.returns_complex,
    "is None": broken_kernels.returns_none,
    "has another shape": broken_kernels.returns_another_shape,
    "is masked": broken_kernels.returns_masked,
    "ends the program": broken_kernels.ends_the_program,
}


def failing(kernel, executor="local", **more) -> nnqft.IntegrationError:
    theory = broken_kernels.theory(kernel, low=6.0, high=6.004)
    with pytest.raises(nnqft.IntegrationError) as caught:
        nnqft.compute(theory, "two_point", executor=executor, **(REQUEST | more))
    return caught.value


def right(**more) -> nnqft.Result:
    return nnqft.compute(broken_kernels.theory(broken_kernels.returns_nan), "two_point", **(REQUEST | more))


@pytest.mark.parametrize("kind", BAD)
def test_the_point_is_named_and_what_is_good_is_kept(kind):
    error = failing(BAD[kind])
    found = re.search(r"kernel of propagator 'C' .* at t = (\S+), s = ([^ ]+?)(,| |$)", str(error))
    assert found is not None
    assert 6.0 < abs(float(found[1]) - float(found[2])) < 6.004
    result = error.result
    rows = list(result.diagrams)
    failed = [row for row in rows if row.failure]
    assert 0 < len(failed) < len(rows)
    assert not rows[0].failure  # order 0 never meets such a lag
    assert_array_equal(result.contribution(0, 0).mean, right(order=0).mean)
    assert set(result.incomplete) == {row.order for row in failed}
    assert not result.converged
    for row in failed:
        assert row.failure.startswith("diagram ")
        assert not row.samples
        assert np.isnan(row.integral).all()


def test_diagrams_that_do_not_meet_the_point_have_the_numbers_of_a_right_kernel():
    rows, wanted = failing(broken_kernels.returns_nan).result.diagrams, right().diagrams
    first = [(one, two) for one, two in zip(rows, wanted, strict=True) if not one.failure and one.order]
    for one, two in first:
        if one.samples == two.samples:
            assert_array_equal(one.integral, two.integral)
    assert any(one.samples for one, _ in first)


@pytest.mark.parametrize("executor", ["processes"])
def test_every_executor_says_the_same(executor):
    one, two = failing(broken_kernels.returns_nan), failing(broken_kernels.returns_nan, executor, workers=2)
    assert str(one) == str(two)
    assert_array_equal(one.result.mean, two.result.mean)
    assert one.result.notes == two.result.notes
    assert [row.failure for row in one.result.diagrams] == [row.failure for row in two.result.diagrams]


def test_a_file_and_the_table_mark_what_failed(tmp_path, capsys):
    result = failing(broken_kernels.returns_nan).result
    result.save(tmp_path / "r.json")
    again = nnqft.load(tmp_path / "r.json")
    assert again.table() == result.table()
    assert [row.failure for row in again.diagrams] == [row.failure for row in result.diagrams]
    for n in result.incomplete:
        assert f"{n} (incomplete)" in result.table()
    assert any(note.startswith("failed, and missing from the sum") and "at t =" in note for note in result.notes)

    def run():
        raise nnqft.IntegrationError("diagram 3: no value", result)

    assert finish(run, Output()) == 3
    assert "(incomplete)" in capsys.readouterr().out


def test_a_kernel_that_never_has_a_value_ends_everything_at_once():
    theory = broken_kernels.theory(broken_kernels.returns_nan, low=-1.0, high=math.inf)
    with pytest.raises(nnqft.IntegrationError, match="returned a value that is not finite at any of") as caught:
        nnqft.compute(theory, "two_point", order=3, tau=np.linspace(0, 1, 20), neval=10**7)
    assert not any(row.samples for row in caught.value.result.diagrams)


@pytest.mark.parametrize("times", [2, 60])  # few and many times are written in different ways
def test_a_sum_of_which_nothing_is_known_is_nan_and_not_0(times, tmp_path):
    theory = broken_kernels.theory(broken_kernels.returns_nan, low=-1.0, high=math.inf)
    with pytest.raises(nnqft.IntegrationError) as caught:
        nnqft.compute(theory, "two_point", order=1, tau=np.linspace(0, 1, times), neval=2000)
    result = caught.value.result
    result.save(tmp_path / "r.json")
    for each in (result, nnqft.load(tmp_path / "r.json")):
        numbers = (each.mean, each.sdev, each.truncation, each.series.total.mean, each.contribution(0, 0).sdev)
        assert np.isnan(numbers).all()
        assert "nan" in repr(each)
        assert "unknown" in repr(each.total)
        assert np.isnan(each.plot().lines[-1].get_ydata()).all()
    # Of a function that no diagram has the value is known.
    assert not nnqft.compute(nnqft.theory("linear"), "mean", order=1, times=[[0.0]]).mean.any()


def test_a_vertex_without_any_value_leaves_the_orders_below_it():
    theory = nnqft.theory("langevin", drift={1: 1.0, 3: 0.1})
    broken = replace(theory, vertices=tuple(replace(v, kernel=broken_kernels.never) for v in theory.vertices))
    with pytest.raises(nnqft.IntegrationError, match=r"kernel of vertex 'z x\^3' returned a value") as caught:
        nnqft.compute(broken, "two_point", order=3, tau=[0.0, 1.0], neval=10**6)
    result = caught.value.result
    assert_array_equal(result.contribution(0, 0).mean, nnqft.compute(theory, "two_point", order=0, tau=[0, 1]).mean)
    assert result.incomplete == (1, 2, 3)
    assert "sum (incomplete)" in result.table()
    assert "missing" in result.table()
    assert "nan" not in result.table().replace("nnqft", "")


@dataclass(frozen=True)
class Halting(nnqft.AbstractIntegrator):
    """Exact, but for integrals over one time it has no number, or raises."""

    how: str = "nan"

    name, exact = "halting", True

    def supports(self, integral):
        return True

    def prepare(self, integral, seed):
        return None

    def sample(self, integral, state, neval, seed):
        return nnqft.Estimate.exact(np.ones(len(integral.times)))

    def settle(self, integrals):
        values = np.array([np.full(len(i.times), math.nan if i.dim == 1 else 1.0) for i in integrals])
        if self.how == "raises" and np.isnan(values).any():
            raise ZeroDivisionError("no value")
        return values, np.zeros_like(values)


@pytest.mark.parametrize("how", ["nan", "raises"])
def test_an_exact_integrator_without_a_value_costs_its_own_diagrams(how):
    theory, times = broken_kernels.theory(None), np.array([[1.0, 0.0]])
    branches = [(Branch(0, "G"),) * (n % 2) for n in range(6)]
    work = [
        nnqft.Work(f"work {n}", nnqft.TimeIntegral(theory, times, own, ()), Halting(how), 1.0, (n,), (n,))
        for n, own in enumerate(branches)
    ]
    with running("local") as place:
        outcome = place.evaluate(work, nnqft.Target(rtol=1e-3), lambda state: None)
    assert set(outcome.failed) == {1, 3, 5}
    assert "work 1" in str(outcome.failure)
    assert [None if e is None else float(e.mean[0]) for e in outcome.estimates] == [1, None, 1, None, 1, None]


def test_other_observables_are_computed():
    theory = broken_kernels.theory(broken_kernels.returns_nan, low=2.0, high=2.5)
    with pytest.raises(nnqft.IntegrationError, match="at t = ") as caught:
        nnqft.compute(theory, ["two_point", "response"], order=1, tau=[1.0], neval=20_000)
    made = caught.value.result
    assert made["two_point"].incomplete == (1,)
    assert made["response"].incomplete == ()
    assert made["response"].converged


@pytest.mark.parametrize("full", [False, True])
def test_equations_name_the_point_of_a_line(full):
    theory = broken_kernels.theory(broken_kernels.returns_nan, low=1.0, high=1.5)
    with pytest.raises(nnqft.NnqftError, match=r"kernel of propagator 'C' .* at t = "):
        nnqft.dyson(theory, order=1, width_order=0, reach=10.0, intervals=32, self_consistent=full)


def test_exact_integrals_are_untouched():
    theory = broken_kernels.theory(broken_kernels.returns_nan, low=6.0, high=6.004)
    exact = replace(theory, propagators=tuple(p if p.name != "C" else q for p, q in zip(
        theory.propagators, broken_kernels.theory(None).propagators, strict=True)))  # fmt: skip
    assert nnqft.compute(exact, "two_point", **REQUEST).converged


@pytest.mark.parametrize("bad", [0, 7, 99])
def test_halving_finds_the_point_of_a_kernel_that_raises(bad):
    t = np.linspace(0.0, 99.0, 100)

    def kernel(times):
        if (times == bad).any():
            raise ValueError("no")
        return times

    with pytest.raises(PointError, match=rf"the kernel raised ValueError: no .* at t = {float(bad)}$"):
        call_kernel("the kernel", kernel, [("t", t)], t.shape, np)


def test_a_kernel_that_always_raises_is_broken_and_not_a_point():
    def kernel(times):
        raise ValueError("no")

    with pytest.raises(PluginError) as caught:
        call_kernel("the kernel", kernel, [("t", np.zeros(100))], (100,), np)
    assert not isinstance(caught.value, PointError)
