"""Closed forms in the time difference: known fractions, the exact integrator, and the algebra they are made with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from math import comb, exp, factorial

import mpmath as mp
import numpy as np
import oracles
import pytest
from exact_cases import coloured, in_high_precision, shaken, with_kernel_line
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from theories import bare_theory

import nnqft
from nnqft import ClosedForm
from nnqft.integrals.closed_form import Polynomial, add_forms, relax

F = Fraction
RATES = {"gamma": 1.3, "kappa": 0.8}
GRID = np.concatenate([[0.0, 1e-9, 1e-3], np.linspace(0.05, 6.0, 40), [12.0, 25.0]])


def result(model: str, observable: str = "two_point", *, order: int, tau=(0.7,), width_order=None, **parameters):
    options = {"order": order, "width_order": width_order, "tau": tau, "rtol": 1.0}
    return nnqft.compute(bare_theory(model, **parameters), observable, integrator="exact", **options)


# Known fractions

EQUAL_TIMES = {
    0: [F(1, 2)],
    1: [F(1, 4), F(1, 4)],
    2: [F(3, 16), F(9, 16), F(3, 4)],
    3: [F(5, 32), F(29, 32), F(13, 4), F(51, 16)],
}


def test_linear_equal_times():
    found = result("linear", order=3)
    for n, wanted in EQUAL_TIMES.items():
        assert [found.closed_form(n, k).at_zero for k in range(n + 1)] == wanted


def test_linear_at_infinite_width_to_tenth_order():
    """κ/(2 √(γ² − σ_w²)): binomials over 4^n."""
    found = result("linear", order=10, width_order=0)
    for n in range(11):
        assert found.closed_form(n, 0).at_zero == F(comb(2 * n, n), 2 * 4**n)


def test_linear_first_order():
    """By hand: ∬ over two chains; x = γτ."""
    found = result("linear", order=1, **RATES)
    size = F(8, 10) / 2 / F(13, 10)
    assert found.closed_form(0, 0) == ClosedForm({F(1): (size,)}, F(13, 10))
    # C_MF = (κ/2) ξ e^{−τ/ξ} with 1/ξ² = γ² − σ_w², expanded once.
    half = size / 2 / F(13, 10) ** 2
    assert found.closed_form(1, 0).terms == {1: (half, half)}


def test_langevin_is_boltzmann_at_equal_times():
    theory = nnqft.theory("langevin")
    for count, wanted in ((2, [1, -3, 24, -297]), (4, [0, -6, 126, -2682])):
        found = nnqft.compute(theory, "cumulant", order=3, times=[(0.0,) * count], rtol=1.0)
        assert [found.closed_form(n, 0).at_zero for n in range(4)] == wanted
        assert wanted == oracles.langevin_cumulants(1, {3: 1}, 2, 3, count)


@pytest.mark.parametrize("parameters", [{}, RATES], ids=["1", "1.3"])
def test_linear_response_is_a_power(parameters):
    """e^{−γτ} τ^{2n}/(2n)! times (1/N)⟨tr W^{2n}⟩, for every width."""
    found = result("linear", "response", order=4, **parameters)
    gamma = F(str(parameters.get("gamma", 1)))
    for n in range(5):
        for k, trace in enumerate(oracles.trace_moment(2 * n, 0)):
            form = found.closed_form(n, k)
            wanted = {1: (F(0),) * (2 * n) + (trace / gamma ** (2 * n) / factorial(2 * n),)} if trace else {}
            assert form.terms == wanted, (n, k)


def test_couplings_and_width_multiply():
    bare, dressed = result("cubic_tanh", order=1), result("cubic_tanh", order=1, sigma_w=0.3, N=5)
    for n, k in bare.series:
        scaled = add_forms([(F(9, 100) ** n / F(5) ** k, bare.closed_form(n, k))], F(1))
        assert dressed.closed_form(n, k) == scaled


def test_a_named_activation_gives_the_fractions_of_its_series():
    by_name = result("taylor", order=1, activation="tanh", degree=3)
    by_hand = result("cubic_tanh", order=1)
    for n, k in by_hand.series:
        assert by_name.closed_form(n, k) == by_hand.closed_form(n, k)


# Slope


@pytest.mark.parametrize(
    ("model", "order", "width_order"), [("linear", 4, None), ("cubic_tanh", 2, 1), ("quintic", 2, None)]
)
@pytest.mark.parametrize("parameters", [{}, {**RATES, "sigma_b": 0.5}], ids=["1", "1.3 with bias"])
def test_white_noise_fixes_the_slope(model, order, width_order, parameters):
    """C'(0+) = −κ/2 exactly: at order 0 all of it, at every higher order and width nothing."""
    if parameters and model != "linear":
        order = 1
    found = result(model, order=order, width_order=width_order, **parameters)
    for n, k in found.series:
        slope = found.closed_form(n, k).derivative().at_zero
        assert slope == (-F(str(parameters.get("kappa", 1))) / 2 if n == 0 else 0), (n, k)


def test_slope_of_the_sum_at_one_site():
    found = result("cubic_tanh", order=1, N=1)
    summed = add_forms([(F(1), found.closed_form(n, k)) for n, k in found.series], F(1))
    assert summed.derivative().at_zero == F(-1, 2)


# The exact integrator


@pytest.mark.parametrize(
    ("model", "observable", "order", "parameters"),
    [
        ("linear", "two_point", 3, RATES),
        ("linear", "two_point", 2, {**RATES, "sigma_b": 0.5, "sigma_u": 0.7, "q": 0.6, "N": 3, "sigma_w": 0.7}),
        ("linear", "two_point", 1, {"sigma_u": 0.7, "q": {2.0: 0.6, 3.0: 0.2}}),
        ("cubic_tanh", "two_point", 1, RATES),
        ("cubic_tanh", "two_point", 1, {**RATES, "sigma_b": 0.5}),
        ("quintic", "two_point", 2, {**RATES, "sigma_w": 0.5, "N": 4}),
        (
            "feedforward",
            "two_point",
            2,
            {**RATES, "coefficients": {1: 1.0, 2: 0.5}, "expansion": "bare", "sigma_w": 1.0, "N": 1},
        ),
        ("langevin", "two_point", 3, {"drift": {1: 1.3, 2: 0.4, 3: 0.5}, "noise": 0.8}),
        ("linear", "response", 3, RATES),
        ("langevin", "response", 2, {"drift": {1: 1.3, 3: 0.5}}),
    ],
)
def test_equals_the_exact_integrator(model, observable, order, parameters):
    taus = GRID if observable == "two_point" else GRID[1:]  # a response at τ = 0 is 0, its form the limit from above
    found = result(model, observable, order=order, tau=taus, **parameters)
    for (n, k), part in found.series.items():
        form = found.closed_form(n, k)
        # Where terms of a form cancel, so do their digits; a derivative by τ = 0 has the size of the largest.
        size = max(abs(float(c)) for p in form.terms.values() for c in p) if form.terms else 0.0
        assert_allclose(form(taus), part.mean, rtol=1e-11, atol=1e-13 * size)
        with mp.workdps(40):
            judge = [float(in_high_precision(form, tau)) for tau in taus]
        assert_allclose(part.mean, judge, rtol=1e-13, atol=part.rounding.max() + 1e-16 * size)


def test_equals_the_exact_integrator_for_several_times():
    theory = nnqft.theory("langevin", drift={1: 1.0, 2: 0.6, 3: 1.0})
    times = [(tau, 0.0, 0.0, 0.0) for tau in GRID]
    found = nnqft.compute(theory, "cumulant", order=2, times=times, rtol=1.0)
    for n in range(3):
        assert_allclose(found.closed_form(n, 0)(GRID), found.contribution(n, 0).mean, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("rate", [0.5, 0.25, 2.0])
def test_text_and_value_agree_when_an_input_is_slower_than_the_leak(rate):
    """γ in the text is the theory's γ."""
    found = result("linear", order=1, tau=GRID, sigma_u=0.7, q={rate: 0.6})
    for (n, k), part in found.series.items():
        form = found.closed_form(n, k)
        assert_allclose(form(GRID), part.mean, rtol=1e-11)
        for m in (1, 20, 40):
            assert_allclose(evaluate_plain(str(form), GRID[m]), part.mean[m], rtol=1e-9)
            assert_allclose(evaluate_latex(form.latex(), GRID[m]), part.mean[m], rtol=1e-9)


def test_a_part_without_diagrams_is_zero_with_the_same_rate():
    found = result("feedforward", order=1, sigma_w=1.0, N=1, **RATES)
    form = found.closed_form(1, 1)
    assert form.terms == {}
    assert form.gamma == F(13, 10)
    assert (str(form), form.latex(), form(0.3), form.at_zero) == ("0", "0", 0.0, 0)


@pytest.mark.parametrize(
    ("model", "observable", "parameters"),
    [
        ("linear", "two_point", {**RATES, "sigma_b": 0.5, "N": 3}),
        ("taylor", "two_point", {"coefficients": {1: 1.0, 2: 0.5}}),
        ("langevin", "two_point", {"drift": {1: 1.3, 3: 0.5}}),
        ("linear", "two_point", {"sigma_u": 0.5, "q": {2.0: 1.0}}),
        ("linear", "response", {}),
    ],
)
def test_a_loaded_result_has_the_same_forms(tmp_path, model, observable, parameters):
    found = result(model, observable, order=1, **parameters)
    found.save(tmp_path / "result.json")
    loaded = nnqft.load(tmp_path / "result.json")
    for n, k in found.series:
        assert loaded.closed_form(n, k) == found.closed_form(n, k)


def test_a_loaded_result_of_many_times(tmp_path):
    theory = nnqft.theory("langevin")
    found = nnqft.compute(theory, "cumulant", order=2, times=[(0.0,) * 4], rtol=1.0)
    found.save(tmp_path / "result.json")
    assert nnqft.load(tmp_path / "result.json").closed_form(2, 0) == found.closed_form(2, 0)


# Errors


def assert_no_form(found: nnqft.Result, part: tuple[int, int], text: str) -> None:
    with pytest.raises(nnqft.InputError, match=re.escape(text)):
        found.closed_form(*part)


def test_no_form_from_rest():
    theory = bare_theory("linear", start="rest")
    found = nnqft.compute(theory, "two_point", order=1, times=[(1.0, 0.5)], rtol=1.0)
    assert_no_form(found, (1, 0), "no closed form from rest, only for a stationary start; ask for numbers instead")


def test_no_form_with_irrational_coefficients():
    found = result("taylor", order=1, activation="erf", degree=3)
    assert_no_form(found, (1, 0), "no closed form: a coefficient 1.273239544735162")
    assert found.closed_form(0, 0).at_zero == F(1, 2)  # the line alone is rational


def test_no_form_with_irrational_amplitudes():
    assert_no_form(result("linear", order=0, kappa=2**0.5), (0, 0), "is not a fraction; write parameters such as")
    assert_no_form(result("linear", order=0, gamma=3**0.5, kappa=2 * 3**0.5), (0, 0), "gamma 1.7320508075688772 is not")


def test_no_form_with_rates_that_do_not_fit():
    found = result("linear", order=1, sigma_u=0.5, q={1.7: 1.0})
    assert_no_form(found, (1, 0), "a rate is no multiple of gamma; ask for numbers instead")


def test_no_form_for_what_was_not_computed():
    found = result("linear", order=2, width_order=1)
    for part in [(3, 0), (2, 2), (-1, 0), (1, -1)]:
        assert_no_form(found, part, "was not computed")


def test_no_form_of_a_line_with_a_kernel():
    theory = with_kernel_line(nnqft.theory("langevin"))
    found = nnqft.compute(theory, "two_point", order=0, tau=[0.7], neval=100)
    assert_no_form(found, (0, 0), "line C is not a sum of exponentials")


def test_sampled_results_have_forms_too():
    theory = bare_theory("linear")
    sampled = nnqft.compute(theory, "two_point", order=1, tau=[0.7], integrator="vegas", neval=2000)
    assert sampled.closed_form(1, 1) == result("linear", order=1).closed_form(1, 1)


def test_theories_with_incommensurate_rates_have_none():
    for theory in (coloured({3: 0.7}), shaken()):
        found = nnqft.compute(theory, "two_point", order=1, tau=[0.7], rtol=1.0)
        assert_no_form(found, (1, 0), "no closed form: ")


# Text


POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def evaluate_plain(text: str, tau: float, gamma: float = 1.0) -> float:
    """The number that the plain text stands for."""
    text = re.sub(r"e\^\(−([^)]*)\)", r"exp(-(\1))", text).replace("−", "-").replace("γτ", "(g * t)")
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda digits: "**" + digits.group().translate(POWERS), text)
    return _calculate(text.replace("τ", "t"), tau, gamma)


def evaluate_latex(text: str, tau: float, gamma: float = 1.0) -> float:
    """The number that the LaTeX stands for."""
    text = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"(\1/\2)", text)
    text = re.sub(r"e\^\{-([^}]*)\}", r"exp(-(\1))", text).replace(r"\gamma\tau", "(g * t)").replace(r"\tau", "t")
    return _calculate(re.sub(r"\^\{(\d+)\}", r"**\1", text).replace("−", "-"), tau, gamma)


def _calculate(text: str, tau: float, gamma: float) -> float:
    """Arithmetic in which a space between factors multiplies."""
    assert re.fullmatch(r"[-+*/()\d\sgtexp]+", text), text
    text = re.sub(r"(?<=[\w)]) +(?=[\w(])", " * ", text)
    return float(eval(text, {"__builtins__": {}, "exp": exp, "t": tau, "g": gamma}))


FORM = ClosedForm({F(0): (F(3, 4),), F(1): (F(-1), F(0), F(-1, 2)), F(3): (F(2, 3), F(1))}, F(1))


def test_fixed_strings():
    assert str(FORM) == "3/4 + (−1 − 1/2 τ²) e^(−τ) + (2/3 + 1 τ) e^(−3 τ)"
    assert str(ClosedForm(FORM.terms, F(13, 10))) == "3/4 + (−1 − 1/2 (γτ)²) e^(−γτ) + (2/3 + 1 γτ) e^(−3 γτ)"
    assert str(ClosedForm({F(1): (F(1, 2),)})) == "1/2 e^(−τ)"
    assert ClosedForm({F(1): (F(1, 2),)}).latex() == r"\frac{1}{2} e^{-\tau}"
    assert ClosedForm({F(2): (F(1, 2), F(3))}, F(2)).latex() == r"(\frac{1}{2} + 3 \gamma\tau) e^{-2 \gamma\tau}"
    assert (str(ClosedForm({})), ClosedForm({}).latex()) == ("0", "0")


def test_latex_is_ascii():
    """LaTeX knows no other minus than the hyphen."""
    assert FORM.latex().isascii(), FORM.latex()


def test_latex_of_signs():
    wanted = r"\frac{3}{4} + (-1 - \frac{1}{2} \tau^{2}) e^{-\tau} + (\frac{2}{3} + 1 \tau) e^{-3 \tau}"
    assert FORM.latex() == wanted


@pytest.mark.parametrize("gamma", [F(1), F(13, 10)])
def test_text_of_a_result_says_its_value(gamma):
    found = result("cubic_tanh", order=1, gamma=float(gamma), sigma_b=0.5)
    for n, k in found.series:
        form = found.closed_form(n, k)
        for tau in (0.0, 0.4, 2.5):
            assert_allclose(evaluate_plain(str(form), tau, float(gamma)), form(tau), rtol=1e-11, atol=1e-13)
            assert_allclose(evaluate_latex(form.latex(), tau, float(gamma)), form(tau), rtol=1e-11, atol=1e-13)


# Algebra

fractions = st.builds(F, st.integers(-9, 9), st.integers(1, 6))
polynomials = st.lists(fractions, min_size=1, max_size=4).map(tuple)
rates = st.builds(F, st.integers(0, 8), st.integers(1, 2))
gammas = st.sampled_from([F(1), F(13, 10), F(2)])
terms = st.dictionaries(rates, polynomials, max_size=3)


def forms(gamma: Fraction) -> st.SearchStrategy[ClosedForm]:
    return terms.map(lambda t: ClosedForm(t, gamma))


def same(one: ClosedForm, two: ClosedForm) -> bool:
    """Equal as functions."""
    return not add_forms([(F(1), one), (F(-1), two)], one.gamma).terms


@given(gammas.flatmap(lambda g: st.tuples(forms(g), forms(g))), st.floats(0, 5))
def test_texts_say_the_value(pair, tau):
    for form in pair:
        size = sum(abs(float(c)) * 5 ** len(p) for p in form.terms.values() for c in p)
        gamma = float(form.gamma)
        assert_allclose(evaluate_plain(str(form), tau, gamma), form(tau), rtol=1e-11, atol=1e-12 * size)
        assert_allclose(evaluate_latex(form.latex(), tau, gamma), form(tau), rtol=1e-11, atol=1e-12 * size)


@given(forms(F(1)), forms(F(1)), forms(F(1)), fractions, fractions)
def test_combine_is_linear(one, two, three, a, b):
    def total(*parts) -> ClosedForm:
        return add_forms(parts, F(1))

    assert total((a, one), (b, two)) == total((b, two), (a, one))
    nested = total((a, total((F(1), one), (F(1), two))), (b, three))
    assert nested == total((a, one), (a, two), (b, three))
    assert total((a, one), (-a, one)).terms == {}
    assert total((a, one), (b, two)).at_zero == a * one.at_zero + b * two.at_zero


@given(forms(F(1)), forms(F(1)), fractions, fractions, st.floats(0, 6))
def test_combine_adds_values(one, two, a, b, tau):
    total = add_forms([(a, one), (b, two)], F(1))
    with mp.workdps(40):
        weights = [mp.mpf(w.numerator) / w.denominator for w in (a, b)]
        wanted = weights[0] * in_high_precision(one, tau) + weights[1] * in_high_precision(two, tau)
        assert abs(in_high_precision(total, tau) - wanted) < mp.mpf(10) ** -30


@given(forms(F(1)))
def test_no_rate_without_a_polynomial_and_no_trailing_zero(form):
    kept = add_forms([(F(1), form)], F(1))
    assert all(p and p[-1] != 0 for p in kept.terms.values())
    assert list(kept.terms) == sorted(kept.terms)
    assert same(kept, form)


@given(gammas.flatmap(forms), st.floats(0.01, 4))
def test_derivative_is_the_slope(form, tau):
    with mp.workdps(40):
        slope = mp.diff(lambda t: in_high_precision(form, t), mp.mpf(tau))
        assert abs(in_high_precision(form.derivative(), tau) - slope) < mp.mpf(10) ** -12 * (1 + abs(slope))


@given(gammas.flatmap(lambda g: st.tuples(forms(g), forms(g))), fractions, fractions)
def test_derivative_is_linear(pair, a, b):
    one, two = pair
    total = add_forms([(a, one), (b, two)], one.gamma)
    assert total.derivative() == add_forms([(a, one.derivative()), (b, two.derivative())], one.gamma)
    assert total.derivative().gamma == one.gamma


@given(forms(F(1)), st.lists(st.floats(0, 10), min_size=1, max_size=4))
def test_values_at_arrays(form, taus):
    values = form(np.array([taus, taus]))
    assert values.shape == (2, len(taus))
    for tau, value in zip(taus, values[1], strict=True):
        assert isinstance(form(tau), float)
        assert form(tau) == pytest.approx(value, rel=1e-14)
    assert form(0.0) == pytest.approx(float(form.at_zero), abs=1e-13)
    assert form(0) == form(0.0)


@given(rates, fractions, terms)
def test_relax_solves_its_equation(rate, start, source):
    """f' = −rate·f + source, f(0) = start, in fractions."""
    solution = ClosedForm(relax(rate, start, source))
    left = add_forms([(F(1), solution.derivative()), (rate, solution)], F(1))
    assert same(left, ClosedForm(source))
    assert solution.at_zero == start


@given(rates, fractions, fractions, terms, terms)
def test_relax_is_linear(rate, a, b, one, two):
    both = add_forms([(F(1), ClosedForm(one)), (F(1), ClosedForm(two))], F(1)).terms
    parts = [(F(1), ClosedForm(relax(rate, a, one))), (F(1), ClosedForm(relax(rate, b, two)))]
    assert same(ClosedForm(relax(rate, a + b, both)), add_forms(parts, F(1)))


@settings(max_examples=10, deadline=None)
@given(rates, fractions, terms)
def test_relax_follows_the_differential_equation(rate, start, source: Mapping[Fraction, Polynomial]):
    drive, solution = ClosedForm(source), ClosedForm(relax(rate, start, source))
    at = np.linspace(0.0, 2.0, 5)
    done = solve_ivp(
        lambda x, f: -float(rate) * f + drive(x), (0.0, 2.0), [float(start)], t_eval=at, rtol=1e-9, atol=1e-9
    )
    assert_allclose(solution(at), done.y[0], rtol=1e-6, atol=1e-6)


def test_equal_rates_raise_the_degree():
    """A cascade of equal rates: x^n/n! e^{−x}."""
    step: Mapping[Fraction, Polynomial] = {F(1): (F(1),)}
    for n in range(1, 6):
        step = relax(F(1), F(0), step)
        assert ClosedForm(step).terms == {1: (*[F(0)] * n, F(1, factorial(n)))}


def test_a_chain_of_different_rates_is_a_divided_difference():
    """f_n' = −c_n f_n + f_{n−1} from f_0 = e^{−c_0 x}: Σ_i e^{−c_i x}/Π_{j≠i}(c_j − c_i)."""
    chain = [F(1), F(3), F(4), F(7, 2)]
    step: Mapping[Fraction, Polynomial] = {chain[0]: (F(1),)}
    for _, rate in pairwise(chain):
        step = relax(rate, F(0), step)
    for i, c in enumerate(chain):
        product = F(1)
        for j, d in enumerate(chain):
            product *= d - c if j != i else 1
        assert step[c][0] == 1 / product
