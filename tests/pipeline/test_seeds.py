"""Seeds: the words from which all randomness of a piece of work comes do not change by accident."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

import nnqft
from nnqft.stages.jobs import make_job


def test_words_of_sampled_diagrams():
    theory = nnqft.theory("cubic_tanh", N=10, sigma_w=0.5, expansion="bare")
    found = nnqft.diagrams(theory, "two_point", order=1)
    work = make_job(found, np.array([[0.0, 0.0]]), "vegas").work
    assert [each.seed_words for each in work[:3]] == [
        (2089124522936590114942019299633663633,),
        (146678825181630209611217375481678058112,),
        (38171550928258055193412946878083812911,),
    ]
    assert [each.state_words for each in work[:3]] == [
        (259655798775383318002304796709379315816,),
        (338016159399083615082257294266044505710,),
        (211249612827495397308483119218341024520,),
    ]


def test_numbers_of_a_seed():
    """To what the order of floating-point operations on another processor may change.

    They change with the samples that each diagram gets, as when the fewest were raised to 512.
    """
    theory = nnqft.theory("cubic_tanh", N=10, sigma_w=0.5, expansion="bare")
    result = nnqft.compute(theory, "two_point", order=1, tau=[0.0, 1.0], integrator="vegas", neval=20_000, seed=7)
    assert_allclose(result.mean, [0.5208543905326024, 0.1989185911573298], rtol=1e-11)
