"""Seeds: the words from which all randomness of a piece of work comes do not change by accident."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

import nnqft
from nnqft.stages.jobs import make_job


def test_words_of_sampled_diagrams():
    theory = nnqft.theory("cubic_tanh", N=10, sigma_w=0.5)
    found = nnqft.diagrams(theory, "two_point", order=1)
    work = make_job(found, np.array([[0.0, 0.0]]), "vegas").work
    assert [each.seed_words for each in work[:3]] == [
        (2089124522936590114942019299633663633,),
        (146678825181630209611217375481678058112,),
        (38171550928258055193412946878083812911,),
    ]
    assert [each.state_words for each in work[:3]] == [
        (220364839382964767385342124934210832472,),
        (16003064885397667027238119427230169687,),
        (77638085586955828026250121953179971519,),
    ]


def test_numbers_of_a_seed():
    """To what the order of floating-point operations on another processor may change."""
    theory = nnqft.theory("cubic_tanh", N=10, sigma_w=0.5)
    result = nnqft.compute(theory, "two_point", order=1, tau=[0.0, 1.0], integrator="vegas", neval=20_000, seed=7)
    assert_allclose(result.mean, [0.5208277047959693, 0.19908563057304923], rtol=1e-11)
