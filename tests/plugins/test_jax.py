"""The integrand under JAX: the same numbers point by point, compiled once for a shape, in constant memory.

Its statistics are judged by the harness of every integrator (test_integrators.py) and its place among workers by
test_faults.py.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pools import assert_same_bits
from theories import bare_theory

import nnqft
from nnqft.host import default_host
from nnqft.integrals.integrand import values_of
from nnqft.integrals.shape import Part
from nnqft_plugins.integrators import jax_sampler
from nnqft_plugins.integrators.jax_sampler import JaxIntegrator

PULSE = (("rate", 1.5),)


def pulse(t, s, params, xp):
    """A correlator that is a function, not a sum of exponentials."""
    return 0.5 / (1.0 + params["rate"] * (t - s) ** 2)


def branching(t, s, params, xp):
    """A kernel that asks for the value of an array, which a compiler cannot know."""
    return pulse(t, s, params, xp) if (t > -1e9).all() else t


def switched(times, params, xp):
    return 1 / (1 + xp.exp(-3 * (times[0] - 1)))


def with_correlator(kernel, params=PULSE) -> nnqft.Theory:
    theory = bare_theory("linear", sigma_w=0.7)
    lines = [replace(p, terms=(), kernel=kernel, params=params) if p.name == "C" else p for p in theory.propagators]
    return replace(theory, propagators=tuple(lines))


def with_factor() -> nnqft.Theory:
    theory = nnqft.theory("langevin", drift={1: 1.0, 3: 0.2}, start="rest")
    return replace(theory, vertices=tuple(replace(v, kernel=switched) for v in theory.vertices))


CASES = {
    "linear": (bare_theory("linear"), "two_point", 3, [(0.0, 0.0), (0.7, 0.2), (0.1, 2.0)]),
    "bias": (bare_theory("linear", sigma_b=0.5), "two_point", 2, [(0.4, 0.0), (0.0, 1.0)]),
    "rest": (bare_theory("cubic_tanh", start="rest", sigma_b=0.4), "two_point", 1, [(0.4, 0.2), (1.0, 2.0)]),
    "response": (bare_theory("linear"), "response", 2, [(2.0, 0.0), (0.7, 0.2)]),
    "feedforward": (nnqft.theory("feedforward", sigma_w=0.5, N=1), "two_point", 2, [(0.3, 0.0)]),
    "four times": (nnqft.theory("langevin", drift={1: 1.0, 3: 0.2}), "cumulant", 2, [(0.0, 0.3, 1.0, 0.5)]),
    "far": (bare_theory("linear"), "two_point", 1, [(0.0, 0.0), (40.0, 0.2), (0.7, 0.0), (0.1, 150.0)]),
    "far from rest": (bare_theory("cubic_tanh", start="rest", sigma_b=0.4), "two_point", 1, [(0.4, 0.2), (80.0, 0.5)]),
    "four far times": (nnqft.theory("langevin", drift={1: 1.0, 3: 0.2}), "cumulant", 1, [(0.0, 0.3, 30.0, 60.0)]),
    "function": (with_correlator(pulse), "two_point", 2, [(0.0, 0.0), (0.7, 0.2)]),
    "factor": (with_factor(), "two_point", 2, [(1.0, 0.7)]),
}


def integrals(name: str) -> list[nnqft.TimeIntegral]:
    theory, observable, order, times = CASES[name]
    found = nnqft.diagrams(theory, observable, order=order, arity=len(times[0]))
    every = max(1, len(found) // (3 if "far" in name else 60))
    return [nnqft.time_integral(found[n], theory, np.array(times)) for n in range(0, len(found), every)]


@pytest.mark.parametrize("name", CASES)
def test_the_integrand_is_the_same_function_point_by_point(name):
    """Traced as the sampler traces it: the wires are data."""
    rng = np.random.default_rng(1)
    compiled = {}
    for integral in (one for one in integrals(name) if one.dim):
        statics = jax_sampler._statics(integral.parts)

        def integrand(data, times, u, statics=statics):
            parts = [
                Part(columns, shape, [wires[n] for n in range(len(wires))], slopes, buckets)
                for (columns, shape), (wires, slopes, buckets) in zip(statics, data, strict=True)
            ]
            return values_of(parts, times, u, jax.numpy)

        u = rng.random((40, integral.dim))
        with jax.enable_x64(True):
            run = compiled.setdefault(statics, jax.jit(integrand))
            found = np.array(
                run([(np.array(part.wires), part.slopes, part.buckets) for part in integral.parts], integral.times, u)
            )
        # A density of far times is the exponential of a sum of large numbers.
        rtol = 1e-9 if "far" in name else 1e-11
        assert_allclose(found, integral(u), rtol=rtol, atol=1e-300)
    assert all(run._cache_size() == 1 for run in compiled.values())


@pytest.mark.parametrize("name", ["linear", "rest", "function"])
def test_compiled_once_for_a_shape_and_right(name):
    jax_sampler._compiled.cache_clear()
    integrator, vegas = JaxIntegrator(), default_host().get("integrator", "vegas")
    shapes, pulls = set(), []
    for n, integral in enumerate(one for one in integrals(name) if one.dim):
        assert integrator.supports(integral) is True
        state = integrator.prepare(integral, np.random.SeedSequence(1))
        one = integrator.sample(integral, state, 4000, np.random.SeedSequence((2, n)))
        two = vegas.sample(integral, state, 16000, np.random.SeedSequence((3, n)))
        shapes.add(jax_sampler._statics(integral.parts))
        pulls.append((one.mean[0] - two.mean[0]) / np.hypot(one.sdev[0], two.sdev[0]))
    assert jax_sampler._compiled.cache_info().misses == len(shapes) <= 4
    assert len(pulls) >= 15
    assert abs(np.mean(np.square(pulls)) - 1) < 4 * np.sqrt(2 / len(pulls))


class Scaled:
    """A line that is a method."""

    scale = 1.0

    def line(self, t, s, params, xp):
        return self.scale * xp.exp(-xp.abs(t - s))


@pytest.mark.parametrize("seen", [True, False])
def test_compiled_again_when_what_a_function_reads_has_changed(seen):
    """Compiled code holds what was read then; a result is that of now, also where not all of it can be seen."""
    held = Scaled()
    if not seen:
        held.iterator = iter([])
    theory = with_correlator(held.line)
    integral = nnqft.time_integral(nnqft.diagrams(theory, "two_point", order=1)[1], theory, np.array([[0.0, 0.0]]))
    integrator, means = JaxIntegrator(), []
    state = integrator.prepare(integral, np.random.SeedSequence(1))
    for held.scale in (1.0, 2.0, 1.0):
        means.append(integrator.sample(integral, state, 2000, np.random.SeedSequence(2)).mean[0])
    assert means[0] == means[2]
    assert means[1] == pytest.approx(2.0 * means[0], rel=1e-12)


def test_the_callers_precision_stays():
    assert jax.numpy.zeros(1).dtype == np.float32
    nnqft.compute(bare_theory("linear"), "two_point", order=1, integrator="jax", neval=2000)
    assert jax.numpy.zeros(1).dtype == np.float32


def test_a_large_chunk_is_many_blocks_with_the_same_estimator():
    """Samples on both sides of the size where blocks are joined: errors fall as they must, values agree."""
    integral = next(one for one in integrals("linear") if one.dim == 4)
    integrator = JaxIntegrator()
    state = integrator.prepare(integral, np.random.SeedSequence(1))
    small, large = (integrator.sample(integral, state, n, np.random.SeedSequence(n)) for n in (30_000, 300_000))
    assert large.samples > 250_000
    assert (np.abs(small.mean - large.mean) < 5 * np.hypot(small.sdev, large.sdev)).all()
    assert (large.sdev < 0.4 * small.sdev).all()


MEMORY = """
import resource, sys, numpy as np, nnqft
from nnqft_plugins.integrators.jax_sampler import JaxIntegrator
theory = nnqft.theory("linear")
integral = nnqft.time_integral(nnqft.diagrams(theory, "two_point", order=1)[1], theory, np.zeros((1, 2)))
integrator = JaxIntegrator()
state = integrator.prepare(integral, np.random.SeedSequence(1))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
integrator.sample(integral, state, 1_000_000, np.random.SeedSequence(2))
before = peak()
found = integrator.sample(integral, state, 10_000_000, np.random.SeedSequence(3))
more = peak() - before
exact = nnqft.compute(theory, "two_point", order=1, neval=100).diagrams[1].integral[0]
print(found.samples, more, abs(found.mean[0] - exact) / found.sdev[0])
"""


def test_ten_million_samples_take_no_more_memory_than_one_million():
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, timeout=120, check=True)
    samples, more, pull = done.stdout.split()
    assert int(samples) > 9_900_000
    assert int(more) < 40  # MiB; the samples alone would be 150
    assert float(pull) < 5


def test_a_computation_by_jax_alone():
    theory = nnqft.theory("linear", N=5, sigma_w=0.6)
    request = {"order": 1, "tau": [0.0, 1.0], "neval": 200_000, "seed": 4}
    found = nnqft.compute(theory, "two_point", integrator="jax", **request)
    exact = nnqft.compute(theory, "two_point", integrator="exact", **request)
    assert found.integrators() == {"jax": 4}
    assert (np.abs(found.mean - exact.mean) < 4 * found.sdev).all()
    again = nnqft.compute(theory, "two_point", integrator="jax", executor="processes", workers=2, **request)
    assert_same_bits(found, again)


def test_parameters_that_cannot_be_hashed_are_declined():
    theory = with_correlator(pulse, params=(("rate", 1.5), ("table", np.ones(3))))
    integral = nnqft.time_integral(nnqft.diagrams(theory, "two_point", order=1)[1], theory, np.zeros((1, 2)))
    assert "hashed" in JaxIntegrator().supports(integral)
    with pytest.raises(nnqft.InputError, match="tuples"):
        nnqft.compute(theory, "two_point", order=1, integrator="jax", neval=2000)


def test_a_kernel_that_cannot_be_compiled_is_named():
    with pytest.raises(nnqft.IntegrationError, match="kernel of propagator 'C' raised TracerBool"):
        nnqft.compute(with_correlator(branching), "two_point", order=1, integrator="jax", neval=2000)


def test_without_jax_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(jax_sampler, "find_spec", lambda name: None)
    integral = next(one for one in integrals("linear") if one.dim)
    assert JaxIntegrator().supports(integral) == "JAX is not installed; pip install 'nnqft[gpu]'"


def test_automatic_choice_stays_with_numpy():
    result = nnqft.compute(with_correlator(pulse), "two_point", order=1, neval=3000)
    assert set(result.integrators()) == {"vegas"}
    assert_array_equal(result.diagrams[0].error >= 0, True)


def rarely_nan(t, s, params, xp):
    value = pulse(t, s, params, xp)
    return xp.where((xp.abs(t - s) > 4.0) & (xp.abs(t - s) < 4.01), xp.nan, value)


def test_the_point_without_a_value_is_named():
    asked = {"order": 1, "width_order": 0, "integrator": "jax", "neval": 20_000}
    with pytest.raises(nnqft.IntegrationError, match=r"kernel of propagator 'C' .* at t = (\S+), s = (\S+)") as caught:
        nnqft.compute(with_correlator(rarely_nan), "two_point", **asked)
    result = caught.value.result
    assert result.contribution(0, 0).mean[0] == 0.5
    assert result.incomplete == (1,)
    assert all(row.failure for row in result.diagrams if row.order)
