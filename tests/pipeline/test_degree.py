"""The degree of an activation is chosen where higher ones no longer matter, and what is chosen is said and kept."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import nnqft

TANH = nnqft.theory("taylor", activation="tanh", N=50, sigma_w=0.9)


def compute(theory: nnqft.Theory = TANH, **options) -> nnqft.Result:
    return nnqft.compute(theory, "two_point", **({"order": 2, "width_order": 1, "rtol": 1e-3} | options))


def degree_of(result: nnqft.Result) -> int:
    return dict(result.request.parameters)["degree"]


def test_it_is_written_down_and_said():
    result = compute()
    assert degree_of(result) in (4, 6, 8)
    assert max(result.by_degree) == degree_of(result)
    assert any(f"to degree {degree_of(result)}, chosen" in note for note in result.notes)


def test_asking_for_it_gives_the_same_numbers():
    chosen = compute()
    asked = compute(nnqft.theory("taylor", activation="tanh", N=50, sigma_w=0.9, degree=degree_of(chosen)))
    assert_array_equal(asked.mean, chosen.mean)
    assert_array_equal(asked.truncation, chosen.truncation)


def test_a_finer_target_takes_a_higher_degree():
    degrees = [degree_of(compute(rtol=rtol, neval=150_000)) for rtol in (1e-2, 1e-5)]
    assert degrees[0] < degrees[1]


def test_what_was_left_out_is_what_a_higher_degree_adds():
    chosen = compute(rtol=2e-4)
    higher = compute(
        nnqft.theory("taylor", activation="tanh", N=50, sigma_w=0.9, degree=degree_of(chosen) + 4), rtol=2e-4
    )
    added = np.abs(higher.mean - chosen.mean)
    assert (added <= chosen.truncation + 3 * (chosen.sdev + higher.sdev)).all()


@pytest.mark.parametrize("activation", ["tanh", "sign", "gelu", "relu"])
def test_at_first_order_nothing_is_cut(activation):
    """Two external legs hold no vertex of a higher degree than two."""
    result = compute(nnqft.theory("taylor", activation=activation, N=50), order=1)
    assert degree_of(result) == 2
    assert any("diagrams of this order hold no higher one" in note for note in result.notes)
    assert result.beyond.degree is None


def test_a_polynomial_has_all_its_vertices():
    result = compute(nnqft.theory("cubic_tanh", N=50))
    assert not any("chosen" in note for note in result.notes)
    assert result.by_degree == {}


def test_diagrams_of_a_theory_that_leaves_it_open():
    open_, cut = nnqft.diagrams(TANH, "two_point", order=1), nnqft.diagrams(TANH.up_to(4), "two_point", order=1)
    assert open_.counts == cut.counts


def test_a_limit_on_diagrams_ends_the_choice():
    result = compute(max_diagrams=100, rtol=1e-6, neval=100_000)
    assert degree_of(result) == 4
    assert any("too many diagrams" in note for note in result.notes)


def test_a_budget_ends_the_choice():
    result = compute(neval=60_000, rtol=1e-6)
    assert len(result.diagrams) * 512 <= 60_000
    assert any("neval=60000" in note for note in result.notes)


def test_a_ledger_resumes_what_was_chosen(tmp_path):
    ledger = tmp_path / "run.ledger"
    one = compute(ledger=ledger)
    two = compute(ledger=ledger)
    assert_array_equal(one.mean, two.mean)
    assert degree_of(one) == degree_of(two)


@pytest.mark.parametrize(
    ("model", "observable", "options"),
    [
        ("taylor", "kernel_variance", {}),
        ("taylor", "cumulant", {"indices": "iijj", "times": [(0, 0, 0, 0)]}),
        ("taylor", "four_point", {"indices": "iijj", "times": [(1, 0, 1, 0)]}),
        ("feedforward", "kernel_variance", {}),
    ],
)
def test_observables_of_several_units(model, observable, options):
    """Cut at degree 0 such a theory knows no units at all."""
    theory = nnqft.theory(model, activation="tanh", N=20)
    found = nnqft.compute(theory, observable, order=1, **options)
    cut = nnqft.compute(nnqft.theory(model, activation="tanh", N=20, degree=4), observable, order=1, **options)
    assert np.abs(found.mean - cut.mean).max() <= 4 * (found.sdev + cut.sdev).max() + 1e-12


def test_a_finer_target_leaves_no_more_out():
    theory = nnqft.theory("taylor", activation="tanh", N=20, sigma_w=0.9, kappa=2.0)
    coarse, fine = (compute(theory, rtol=rtol, neval=10_000_000) for rtol in (1e-3, 5e-5))
    assert fine.truncation[0] <= 1.5 * coarse.truncation[0]


def test_a_time_limit_holds_for_the_choice_too():
    theory = nnqft.theory("taylor", activation="softplus", N=20)
    assert compute(theory, time_limit=2.0, rtol=1e-6).seconds < 6.0
