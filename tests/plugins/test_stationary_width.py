"""Stationary networks at order 1/N, summed: closed forms, diagrams order by order, finer grids."""

import numpy as np
import pytest

import nnqft
from nnqft import InputError
from nnqft_plugins.networks.finite_width.interpolation import between, to_zero
from nnqft_plugins.networks.finite_width.kinked import kinked_coefficients
from nnqft_plugins.networks.finite_width.lag_tables import LagTables
from nnqft_plugins.networks.finite_width.linear_response import LinearResponse
from nnqft_plugins.networks.finite_width.pairs import Crossing, coefficients, covariance
from nnqft_plugins.networks.finite_width.scatter import Scatter
from nnqft_plugins.networks.finite_width.stationary import StationaryEngine
from nnqft_plugins.networks.network import network_of


def engine(model, accuracy=1e-4, **values):
    return StationaryEngine(network_of(nnqft.theory(model, **{"kappa": 1.0, "N": 100, **values})), accuracy)


def crossing(rho, others, between):
    return Crossing.of(np.array([[rho]]), np.array(others)[:, None], tuple(np.array(x)[:, None] for x in between))


OTHERS = [0.9, 0.2, -0.4]
BETWEEN = ([0.5, 0.1, 0.2], [0.4, 0.0, -0.3], [0.3, 0.6, 0.1], [0.2, 0.3, 0.25])


def test_the_covariance_of_two_products_is_wicks():
    sizes = np.full(3, 1.3)
    g = coefficients(np.positive, np.positive, (sizes[:1], sizes[:1]), np.array([0.7]), 4)[0]
    others = coefficients(np.positive, np.positive, (sizes, sizes), np.array(OTHERS), 4)
    found = Scatter(others, crossing(0.7, OTHERS, BETWEEN), 4).covariance(g)[0][:, 0]
    r13, r14, r23, r24 = map(np.array, BETWEEN)
    assert found == pytest.approx(1.3**4 * (r13 * r24 + r14 * r23), abs=1e-13)


def test_covariances_by_matrices_are_those_by_monomials_and_slopes_their_derivatives():
    sizes = np.full(3, 0.8)
    shifted = lambda h: np.tanh(h + 0.3)  # noqa: E731
    g = coefficients(shifted, shifted, (sizes[:1], sizes[:1]), np.array([0.7]), 7)
    others = coefficients(shifted, shifted, (sizes, sizes), np.array(OTHERS), 7)
    X = crossing(0.7, OTHERS, BETWEEN)
    scatter = Scatter(others, X, 7)
    found = scatter.covariance(g[0])[0]
    by_terms = covariance(g, others, Crossing(*(x[None] for x in (X.uu, X.uw, X.wu, X.ww))), 7)
    assert np.abs(found - by_terms[0][0]).max() <= by_terms[1].max() + 1e-12  # the latter has a tail
    for n, slope in enumerate(scatter.slopes(g[0])):
        step = np.zeros(4)
        step[n] = 1e-5
        sides = [
            Scatter(others, Crossing(*(x + sign * e for x, e in zip((X.uu, X.uw, X.wu, X.ww), step, strict=True))), 7)
            for sign in (1, -1)
        ]
        up, down = (side.covariance(g[0])[0] for side in sides)
        assert slope == pytest.approx((up - down) / 2e-5, abs=1e-8)


def test_averages_across_kinks_are_exact():
    rho, sizes = np.array([1.0, 0.999, 0.3, -0.5]), np.full(4, 1.3)
    sign = kinked_coefficients(np.sign, np.sign, (sizes, sizes), rho, 6, (0.0,))
    assert sign[:, 0, 0] == pytest.approx(2 / np.pi * np.arcsin(rho), abs=1e-13)
    relu = kinked_coefficients(*[lambda h: np.maximum(h, 0)] * 2, (sizes, sizes), rho, 6, (0.0,))
    angle = np.arccos(rho)
    assert relu[:, 0, 0] == pytest.approx(1.69 * (np.sin(angle) + (np.pi - angle) * rho) / (2 * np.pi), abs=1e-13)
    smooth = kinked_coefficients(np.tanh, np.tanh, (sizes, sizes), rho, 6, (0.4,))
    assert smooth == pytest.approx(coefficients(np.tanh, np.tanh, (sizes, sizes), rho, 6), abs=1e-11)


def test_slopes_of_a_jump_are_averaged_without_being_taken():
    network = network_of(nnqft.theory("taylor", activation="sign", N=10, sigma_w=0.5))
    C = np.array([0.7, 0.4, 0.1])
    tables = LagTables(network, C, 4)
    assert tables.slope_slope[1:] == pytest.approx(2 / np.pi / np.sqrt(0.49 - C[1:] ** 2), abs=1e-11)
    assert tables.curved[1:] == pytest.approx(-2 / np.pi * C[1:] / 0.7 / np.sqrt(0.49 - C[1:] ** 2), abs=1e-11)


def test_the_linear_network_is_its_closed_form():
    """Sums over moments of the weights know nothing of kernels."""
    found = engine("linear", 1e-6, sigma_w=np.sqrt(0.5))
    lags = [0.0, 0.5, 2.0]
    theory = nnqft.theory("linear", N=1, kappa=1.0, sigma_w=np.sqrt(0.5))
    for name, answer in (("two_point", found.two_point), ("response", found.response)):
        exact = nnqft.compute(theory, name, order="resummed", width_order=1, tau=lags).contribution("resummed", 1).mean
        values, errors = answer(np.stack([lags, np.zeros(3)], axis=1))
        assert (np.abs(values - exact) <= np.maximum(errors, 1e-9)).all()
        assert np.abs(values - exact).max() < 1e-6
    variance, error = found.spread(np.zeros((1, 4)))
    assert variance[0] == pytest.approx(1.60615530, abs=1e-6)
    assert error[0] < 1e-6


@pytest.mark.parametrize(
    ("model", "values"),
    [
        ("cubic_tanh", {"sigma_b": 0.5}),
        ("taylor", {"coefficients": {0: 0.2, 1: 1.0, 2: 0.3}, "sigma_b": 0.3}),
    ],
)
def test_a_weak_coupling_is_the_sum_of_the_diagrams(model, values):
    """Orders 1 and 2 of the series are read from two small couplings, with what is left of order 3 between them."""
    couplings = np.array([0.01, 0.02, 0.03])
    times = np.array([[1.0, 0.0, 0.5, 0.0]])
    got = []
    for s in couplings:
        found = engine(model, 2e-5, sigma_w=np.sqrt(s), **values)
        answers = (found.cumulant(times), found.two_point(times[:, :2]), found.response(times[:, :2]))
        got.append([value[0] for value, _ in (*answers, found.mean(times[:, :1]))])
    fitted = np.linalg.solve(couplings[:, None] ** np.arange(1, 4), np.array(got))
    theory = nnqft.theory(model, N=1, kappa=1.0, sigma_w=1.0, expansion="bare", **values)
    observables = ("cumulant", "two_point", "response", "mean")
    for n, (name, points) in enumerate(zip(observables, (4, 2, 2, 1), strict=True)):
        indices = {"indices": "iijj"} if points == 4 else {}
        result = nnqft.compute(theory, name, order=2, width_order=1, times=times[:, :points].tolist(), **indices)
        exact = [contribution(result, order) for order in (1, 2)]
        size = max(abs(fitted[:2, n]).max(), 1e-3)
        assert fitted[0, n] == pytest.approx(exact[0], abs=2e-3 * size), name
        assert fitted[1, n] == pytest.approx(exact[1], abs=4e-2 * size), name


def contribution(result, order):
    try:
        return result.contribution(order, 1).mean[0]
    except (InputError, KeyError):
        return 0.0


def test_tanh_and_its_error():
    """A finer answer is within the error of a rough one."""
    rough, fine = (engine("taylor", accuracy, activation="tanh", sigma_w=0.8) for accuracy in (3e-3, 1e-5))
    for name, points, known in (("spread", 4, 0.844276), ("two_point", 2, 0.071255)):
        (value, error), (finer, small) = (getattr(e, name)(np.zeros((1, points))) for e in (rough, fine))
        assert abs(value - finer)[0] <= (error + small)[0]
        assert finer[0] == pytest.approx(known, abs=2e-5)
    assert fine.mean(np.zeros((2, 1)))[0] == pytest.approx(0.0, abs=1e-12)
    assert "all mushrooms" in " ".join(fine.notes)


def test_times_are_taken_as_they_come():
    found = engine("cubic_tanh", 1e-3, sigma_w=0.5)
    times = np.array([[0.0, 1.0, 3.0, 2.5], [1.0, 0.0, 2.5, 3.0], [3.0, 2.5, 0.0, 1.0], [13.0, 14.0, 16.0, 15.5]])
    values, _ = found.cumulant(times)
    assert values[1:] == pytest.approx(np.full(3, values[0]), rel=1e-9)
    response, error = found.response(np.array([[0.0, 1.0], [0.0, 0.0]]))
    assert response.tolist() == error.tolist() == [0.0, 0.0]


def test_a_growing_mode_is_named():
    network = network_of(nnqft.theory("linear", N=100, sigma_w=0.5))
    tables = LagTables(network, np.exp(-0.5 * np.arange(17)), 2)
    LinearResponse(network, tables, 0.5, 64).check_stable()
    tables.__dict__["slope_slope"] = 8 * tables.slope_slope
    with pytest.raises(InputError, match="1 − K has a growing mode; write another sigma_w"):
        LinearResponse(network, tables, 0.5, 64).check_stable()


def test_layers_are_refused():
    with pytest.raises(InputError, match="stack of layers; wanted a recurrent one"):
        engine("feedforward", coefficients={1: 1.0}, sigma_w=0.5)


def test_values_between_grid_points_and_at_no_step():
    x = np.arange(9.0)
    square = np.outer(x**2, np.cos(2 * np.pi * x / 9))
    found = between(square, np.array([[2.5, 0.0], [7.9, 9.0]]), (False, True))
    assert found == pytest.approx([6.25, 7.9**2])
    steps = [0.5, 0.25, 0.2, 0.125]
    limit, _ = to_zero(steps, [np.array([2.0 + h**2 - 3 * h**3 + h**4]) for h in steps])
    assert limit == pytest.approx([2.0], abs=1e-12)
