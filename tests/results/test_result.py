"""Results: their parts add up, they survive a file bit by bit, and they say what they are."""

from __future__ import annotations

import base64
import json
import math
import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from theories import bare_theory

import nnqft
from nnqft.integrals.estimate_data import cov_from, cov_to_data, estimate_from, estimate_to_data

TAUS = [0.0, 0.4, 1.0, 3.0]


def compute(integrator: str = "vegas", **request) -> nnqft.Result:
    theory = nnqft.theory("linear", N=7, sigma_w=0.6, sigma_b=0.3, q={0.5: 1.0}, sigma_u=0.2)
    return nnqft.compute(
        theory, "two_point", **({"order": 2, "tau": TAUS, "integrator": integrator, "neval": 40_000} | request)
    )


RESULTS = {
    "vegas": lambda: compute(),
    "exact": lambda: compute("exact"),
    "from rest": lambda: nnqft.compute(
        bare_theory("linear", start="rest"),
        "two_point",
        order=1,
        times=[(0, 0), (1, 2)],
        integrator="vegas",
        neval=1999,
    ),
    "response": lambda: nnqft.compute(bare_theory("linear"), "response", order=2, tau=[1.0, 0.0], neval=3_000),
    "several couplings": lambda: nnqft.compute(
        nnqft.theory("langevin", drift={1: 1.0, 2: 0.3, 3: 0.2}), "two_point", order=2, integrator="vegas", neval=50_000
    ),
    "toy": lambda: nnqft.compute(nnqft.theory("toy"), "two_point", order=3, atol=1e-3),
    "missed target": lambda: compute(rtol=1e-9, neval=10_000),
    "some widths": lambda: compute(width_order=1),
}


@pytest.fixture(scope="module", params=RESULTS)
def result(request) -> nnqft.Result:
    return RESULTS[request.param]()


def assert_same_estimate(one: nnqft.Estimate, two: nnqft.Estimate) -> None:
    assert_array_equal(one.mean, two.mean)
    assert_array_equal(one.cov, two.cov)
    assert_array_equal(one.rounding, two.rounding)
    for name in ("samples", "chunks", "chi2_sum", "dof", "seconds"):
        assert getattr(one, name) == getattr(two, name)


# Parts


def test_parts_add_up(result):
    total = result.total
    assert_array_equal(result.mean, total.mean)
    assert_array_equal(result.sdev, total.sdev)
    assert_array_equal(result.cov, total.cov)
    scale = np.abs(result.mean).max()
    for parts in (result.series.values(), result.by_coupling.values()):
        assert_allclose(sum(part.mean for part in parts), result.mean, rtol=1e-12, atol=1e-14 * scale)
    rows = sum(row.weight * row.integral for row in result.diagrams)
    assert_allclose(rows, result.mean, rtol=1e-12, atol=1e-14 * scale)


def test_parts_by_coupling_hold_what_they_say():
    powers = {"1": (0, 0), "sigma_w^2": (1, 0), "sigma_w^2 N^-1": (1, 1), "sigma_w^4": (2, 0),
              "sigma_w^4 N^-1": (2, 1), "sigma_w^4 N^-2": (2, 2)}  # fmt: skip
    linear = compute("exact")
    assert set(linear.by_coupling) == set(powers)
    for name, key in powers.items():
        assert_allclose(linear.by_coupling[name].mean, linear.series[key].mean, rtol=1e-13)
    # dx = −(x + a x² + b x³) dt + √2 dB: the variance is 1 − 3b + …, and each monomial is proportional to itself.
    one, two = (
        nnqft.compute(nnqft.theory("langevin", drift={1: 1.0, 2: a, 3: b}), "two_point", order=2, rtol=1e-3)
        for a, b in ((0.3, 0.2), (0.6, 0.1))
    )
    assert set(one.by_coupling) == set(two.by_coupling) >= {"1", "drift[3]", "drift[2]^2", "drift[3]^2"}
    assert_allclose(one.by_coupling["drift[3]"].mean, -3 * 0.2, rtol=1e-12)
    assert_allclose(two.by_coupling["drift[3]"].mean, one.by_coupling["drift[3]"].mean / 2, rtol=1e-12)
    assert_allclose(two.by_coupling["drift[2]^2"].mean, one.by_coupling["drift[2]^2"].mean * 4, rtol=1e-12)


def test_rows_are_the_diagrams(result):
    assert len(result.diagrams) == sum(result.count(n, k) for n, k in result.series)
    for row in result.diagrams:
        assert row.drawing
        assert row.order <= result.request.order
        assert row.family == {0: "cactus", 1: "mushroom"}.get(row.width, f"width-{row.width}")
        assert row.symmetry_factor >= 1
        assert row.dim >= 0
        assert row.integral.shape == row.error.shape == (len(result.times),)
        assert (row.error >= 0).all()
        assert (row.samples == 0) == (row.error == 0).all() or not row.integral.any()
    assert result.integrators() == {
        name: sum(row.integrator == name for row in result.diagrams)
        for name in {row.integrator for row in result.diagrams}
    }
    assert result.diagrams[-1].order == result.request.order
    assert [row.drawing for row in result.diagrams[:2]] == [row.drawing for row in list(result.diagrams)[:2]]


def test_covariance_is_one(result):
    count = len(result.times)
    for estimate in (result.total, *result.series.values(), *result.by_coupling.values()):
        assert estimate.cov.shape == (count, count)
        assert_allclose(estimate.cov, estimate.cov.T, rtol=1e-12)
        eigenvalues = np.linalg.eigvalsh(estimate.cov)
        assert eigenvalues.min() >= -1e-12 * eigenvalues.max()
        assert_allclose(estimate.sdev, np.sqrt(np.diagonal(estimate.cov)), rtol=1e-13)


@pytest.mark.parametrize("integrator", ["vegas", "auto"])
def test_errors_of_the_sum_and_of_all_parts_are_honest(integrator):
    """Over 50 seeds: whatever shares samples must not be added as if it were independent."""
    exact, results = compute("exact"), [compute(integrator, neval=9_216, seed=seed) for seed in range(50)]
    parts = {"sum": lambda r: r.total}
    parts |= {f"part {key}": lambda r, key=key: r.contribution(*key) for key in exact.series if key != (0, 0)}
    parts |= {name: lambda r, name=name: r.by_coupling[name] for name in exact.by_coupling if name != "1"}
    for name, part in parts.items():
        wanted, estimates = part(exact).mean, [part(result) for result in results]
        if any(estimate.samples for estimate in estimates):
            pulls = np.array([(e.mean - wanted) / e.sdev for e in estimates])
            square = float((pulls**2).mean())
            # 50 seeds, the 4 times correlated: 1 ± 0.2.
            assert 0.45 < square < 1.9, f"{name}: {square}"
        else:
            assert_allclose([e.mean for e in estimates], [wanted] * len(estimates), rtol=1e-12)


@pytest.mark.parametrize(("order", "width"), [(0, 0), (1, 0), (2, 2), (1, 1)])
def test_contribution(order, width):
    result = compute()
    assert result.contribution(order=order, width=width).mean.shape == (4,)
    assert_same_estimate(result.contribution(order, width), result.series[order, width])


def test_contribution_without_diagrams_is_zero():
    zero = compute().contribution(order=1, width=5)
    assert_array_equal(zero.mean, np.zeros(4))
    assert_array_equal(zero.sdev, np.zeros(4))
    assert zero.samples == 0


@pytest.mark.parametrize(("order", "width"), [(3, 0), (-1, 0), (0, -1), (10**9, 0)])
def test_contribution_outside_the_range(order, width):
    with pytest.raises(nnqft.InputError, match="was not computed"):
        compute().contribution(order, width)


def test_contribution_outside_the_widths():
    result = RESULTS["some widths"]()
    assert result.contribution(2, 1).samples
    with pytest.raises(nnqft.InputError, match="width order ≤ 1"):
        result.contribution(2, 2)


@pytest.mark.parametrize("odd", [None, "1", 1.5, [1], math.nan])
def test_contribution_of_something_odd(odd):
    for pair in ((odd, 0), (0, odd)):
        with pytest.raises(nnqft.InputError):
            compute().contribution(*pair)


# Files


def test_round_trip(result, tmp_path):
    path = tmp_path / "result.json"
    result.save(path)
    loaded = nnqft.load(path)
    assert loaded.request == result.request
    assert hash(loaded.request) == hash(result.request)
    assert list(loaded.series) == list(result.series)
    assert (loaded.series.coupling, loaded.series.N) == (result.series.coupling, result.series.N)
    for key, estimate in result.series.items():
        assert_same_estimate(loaded.series[key], estimate)
    assert list(loaded.by_coupling) == list(result.by_coupling)
    for name, estimate in result.by_coupling.items():
        assert_same_estimate(loaded.by_coupling[name], estimate)
    for name in ("mean", "sdev", "cov", "times"):
        assert_array_equal(getattr(loaded, name), getattr(result, name))
    for name in ("converged", "reason", "notes", "seconds", "versions"):
        assert getattr(loaded, name) == getattr(result, name)
    assert len(loaded.diagrams) == len(result.diagrams)
    for row, other in zip(loaded.diagrams, result.diagrams, strict=True):
        for name, value in vars(other).items():
            assert_array_equal(getattr(row, name), value)
    assert loaded.table() == result.table()
    assert loaded.integrators() == result.integrators()
    again = tmp_path / "again.json"
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.json", "result.json"]


def test_the_file_is_plain_json_without_nan(result, tmp_path):
    path = tmp_path / "result.json"
    result.save(str(path))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    data = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert data["mean"] == result.mean.tolist()
    assert data["sdev"] == result.sdev.tolist()
    assert np.array_equal(cov_from(data["cov"], len(result.mean)), result.cov)


def test_saving_replaces_a_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("something old")
    compute(order=0).save(path)
    assert nnqft.load(path).request.order == 0
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["no/such/folder/result.json", "folder"])
def test_saving_where_nothing_can_be_written(where, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(nnqft.InputError, match="cannot write"):
        compute(order=0).save(tmp_path / where)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("saved") / "result.json"
    compute(order=1).save(path)
    return path.read_text(encoding="utf-8")


FOREIGN = ["", "{}", "[]", "null", "3", '"text"', "not json", "\x00", '{"format": 1}', '{"format": 999}']


@pytest.mark.filterwarnings("ignore:.*unchecked")
@pytest.mark.parametrize("text", [*FOREIGN, '{"format": 1, "request": 3}'])
def test_a_foreign_file(text, tmp_path):
    path = tmp_path / "foreign.json"
    path.write_text(text)
    with pytest.raises(nnqft.InputError, match=r"foreign\.json") as caught:
        nnqft.load(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path):
    (tmp_path / "binary").write_bytes(os.urandom(100))
    for path in (tmp_path, tmp_path / "missing", tmp_path / "binary"):
        with pytest.raises(nnqft.InputError, match="cannot read"):
            nnqft.load(path)


@pytest.mark.filterwarnings("ignore:.*unchecked")
def test_a_file_that_lacks_something(saved, tmp_path):
    whole = json.loads(saved) | {"checksum": None}
    path = tmp_path / "damaged.json"
    for name in whole:
        path.write_text(json.dumps({key: value for key, value in whole.items() if key != name}))
        # The first are there for other readers, and older files lack the last.
        if name not in ("mean", "sdev", "cov", "truncation", "by_degree", "beyond", "incomplete", "counts"):
            with pytest.raises(nnqft.InputError, match=r"damaged\.json"):
                nnqft.load(path)


def test_a_file_that_was_cut_off(saved, tmp_path):
    path = tmp_path / "damaged.json"
    for length in range(0, len(saved) - 1, len(saved) // 50):
        path.write_text(saved[:length])
        with pytest.raises(nnqft.InputError, match=r"damaged\.json"):
            nnqft.load(path)


WRONG = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=3) | st.just([]) | st.just({}) | st.just([[1]])
)


@pytest.mark.filterwarnings("ignore:.*unchecked")
@settings(max_examples=150, deadline=None, report_multiple_bugs=False)
@given(data=st.data())
def test_a_file_in_which_something_is_wrong(saved, tmp_path_factory, data):
    """One value anywhere replaced: it loads as a Result that can be used, or is refused; nothing else."""
    whole = json.loads(saved) | {"checksum": None}
    place, path = whole, []
    while isinstance(place, dict | list) and place and (not path or data.draw(st.integers(0, 3))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        path.append(data.draw(st.sampled_from(keys)))
        parent, place = place, place[path[-1]]
    parent[path[-1]] = data.draw(WRONG)
    file = tmp_path_factory.mktemp("damaged") / "damaged.json"
    file.write_text(json.dumps(whole))
    try:
        loaded = nnqft.load(file)
    except nnqft.InputError as error:
        message = str(error)
    else:
        assert loaded.mean.shape == loaded.sdev.shape == (len(loaded.times),)
        assert loaded.table()
        return
    assert "damaged.json" in message
    assert message.isprintable()


# For people


def test_plot_shows_the_data(result):
    axes = result.plot()
    container = axes.containers[0]
    order = np.argsort(result.times[:, 0], kind="stable")
    line = container.lines[0]
    assert_array_equal(line.get_xdata(), result.times[order, 0])
    assert_array_equal(line.get_ydata(), result.mean[order])
    (bars,) = container.lines[2]
    heights = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()]
    assert_allclose(heights, 2 * result.sdev[order], atol=1e-13)
    assert axes.get_ylabel() == result.request.observable
    assert result.request.model in axes.get_title()


def test_plot_into_given_axes():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    assert compute(order=1).plot(ax=axes) is axes
    assert compute(order=0).plot(axes) is axes


def test_plot_opens_no_window_and_can_be_saved(tmp_path):
    import matplotlib.pyplot as plt

    compute(order=1).plot().figure.savefig(tmp_path / "plot.png")
    assert not plt.get_fignums()
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_table_says_what_it_is(result):
    text = result.table()
    assert result.request.model in text
    assert result.request.observable in text
    assert result.reason in " ".join(text.split())
    assert ("NOT met" in text) == (not result.converged)
    for note in result.notes:
        assert note.split()[0] in text
    for n, k in result.series:
        assert any(line.split()[:2] == [str(n), str(k)] for line in text.splitlines())
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("gamma"))


def test_table_of_a_met_target():
    text = compute(rtol=0.1).table()
    assert "target met" in text
    assert "NOT" not in text


def test_table_of_many_times_is_short():
    result = compute(order=0, tau=np.linspace(0, 5, 300))
    assert len(result.table().splitlines()) < 60
    assert "of 300 times" in result.table()


# Requests


def test_request_round_trip(result):
    request = result.request
    again = nnqft.Request.from_json(request.to_json())
    assert again == request
    assert hash(again) == hash(request)
    assert again.to_json() == request.to_json()
    assert {request: 1}[again] == 1


def test_requests_differ_where_they_should():
    one, two = compute(order=0).request, compute(order=0, seed=1).request
    assert one != two
    assert len({one, two, compute(order=0).request}) == 2


@settings(max_examples=50, deadline=None)
@given(
    times=st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=1, max_size=4),
    rtol=st.none() | st.floats(1e-300, 1e300),
    neval=st.none() | st.integers(1, 10**18),
    seed=st.integers(0, 2**200),
    q=st.floats(0, 1) | st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), max_size=3).map(tuple),
)
def test_any_request_survives_json(times, rtol, neval, seed, q):
    parameters = (("gamma", 1.0), ("q", q))
    request = nnqft.Request(
        "linear", "stationary", parameters, "two_point", 2, None, tuple(times), "auto", rtol, None, neval, seed
    )
    again = nnqft.Request.from_json(request.to_json())
    assert again == request
    assert hash(again) == hash(request)
    assert repr(again) == repr(request)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "3", "not json", '{"model": "linear"}', '{"modell": "linear"}', '{"parameters": 3}'],
)
def test_a_request_that_is_none(text):
    with pytest.raises(nnqft.InputError, match="request"):
        nnqft.Request.from_json(text)


@pytest.mark.parametrize("cov", [np.zeros((3, 3)), np.diag([1.0, 2.0, 0.5]), np.diag([0.0, 2.0, 0.0]), np.ones((3, 3)),
                                 np.array([[1.0, 0.0, 0.5], [0.0, 0.0, 0.0], [0.5, 0.0, 1.0]])])  # fmt: skip
def test_a_covariance_is_written_in_short_and_read_back(cov):
    data = json.loads(json.dumps(cov_to_data(cov)))
    assert np.array_equal(cov_from(data, 3), cov)
    written = len(json.dumps(data))
    assert written <= len(json.dumps(cov.tolist()))
    if not cov.any():
        assert data == 0


def symmetric(size: int, *, like=1.0) -> np.ndarray:
    values = np.random.default_rng(size).normal(scale=like, size=(size, size))
    return values @ values.T


@pytest.mark.parametrize("size", [49, 300])
@pytest.mark.parametrize("gap", [0, 3])
def test_a_large_covariance_is_packed_and_read_back_bit_by_bit(size, gap):
    cov = np.zeros((size + gap, size + gap))
    cov[gap:, gap:] = np.triu(symmetric(size)) + np.triu(symmetric(size), 1).T
    cov[gap, gap + 1] = cov[gap + 1, gap] = 5e-324
    data = json.loads(json.dumps(cov_to_data(cov)))
    assert cov_from(data, size + gap).tobytes() == cov.tobytes()
    assert len(json.dumps(data)) < 5.5 * size**2 + 500
    # What is not symmetric to the last bit keeps all its numbers.
    cov[-1, -2] = np.nextafter(cov[-1, -2], np.inf)
    assert cov_from(json.loads(json.dumps(cov_to_data(cov))), size + gap).tobytes() == cov.tobytes()


def test_many_sampled_times_are_saved_and_loaded_bit_by_bit(tmp_path):
    theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    times = np.linspace(0, 20, 600)
    result = nnqft.compute(theory, "two_point", order=1, tau=times, integrator="vegas", neval=2000)
    path = tmp_path / "sampled.json"
    tracemalloc.start()
    try:
        result.save(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    again = nnqft.load(path)
    assert path.stat().st_size < 2.2 * (8 / 6) * 8 * 600 * 601 / 2  # two that differ, of five
    assert peak < 12 * 8 * 600**2 / 2
    assert again.cov.tobytes() == result.cov.tobytes()
    for name, one in result.by_coupling.items():
        assert again.by_coupling[name].cov.tobytes() == np.array(one.cov).tobytes()


def test_a_covariance_of_another_part_must_be_there():
    data = estimate_to_data(nnqft.Estimate.of_chunk(2, np.zeros(3), np.eye(3))) | {"cov": {"as": [1, 0]}}
    with pytest.raises(ValueError, match="not there"):
        estimate_from(data, 3)


NO_COVARIANCES = [
    {"upper": "AAAA"},
    {"upper": "?"},
    {"upper": 5},
    {"upper": base64.b64encode(np.full(6, np.nan).tobytes()).decode()},
    {"as": [0, 0]},
    {"sum_of": "series"},
    1,
    True,
    None,
    "0",
    [0.0],
    {"diagonal": [1.0]},
    {"at": [0, 0], "cov": [[1, 1], [1, 1]]},
    {"at": [3], "cov": [[1.0]]},
    {"at": [0], "cov": [[1.0, 2.0]]},
    {"diagonal": 0, "at": []},
]


@pytest.mark.parametrize("data", NO_COVARIANCES, ids=str)
def test_a_covariance_that_is_none_is_refused(data):
    with pytest.raises((TypeError, ValueError)):
        cov_from(data, 3)


def test_two_thousand_times_without_errors_are_saved_in_a_few_megabytes(tmp_path):
    theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    path = tmp_path / "long.json"
    tracemalloc.start()
    try:
        result = nnqft.compute(theory, "two_point", order=1, tau=np.linspace(0, 20, 2000))
        result.save(path)
        again = nnqft.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size < 3 << 20
    assert peak < 60 << 20  # one covariance in full takes 32 MB, and there were twelve
    assert np.array_equal(again.mean, result.mean)
    assert not again.cov.any()


def test_orders_that_lack_diagrams_are_said_to(tmp_path):
    theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    result = nnqft.compute(theory, "two_point", order=2, integrator="vegas", neval=100_000, time_limit=1e-3)
    assert not result.converged
    assert result.reason == "time limit of 0.001 s reached"
    assert result.contribution(0, 0).mean[0] == pytest.approx(0.5)  # order 0 is there in any case
    assert 2 in result.incomplete
    assert 0 not in result.incomplete
    assert any(note.startswith("incomplete: order ") for note in result.notes)
    result.save(tmp_path / "r.json")
    assert nnqft.load(tmp_path / "r.json").incomplete == result.incomplete
