"""The intercept that belongs to weights which come without one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import bidual as bd

from covering import examples, slow
from programs import random_program

OTHERS = [loss for loss in bd.LOSSES if loss not in {"hinge", "softmax"}]


@pytest.mark.parametrize("loss", ["hinge", "softmax", *slow(*OTHERS)])
@examples(10)
@given(seed=st.integers(0, 2**32), outputs=st.sampled_from([2, 3]))
def test_weights_without_an_intercept_get_the_best_one(loss, seed, outputs):
    program = random_program(loss, True, outputs=outputs)
    W = np.random.default_rng(seed).normal(size=(program.design.shape[1], program.outputs))
    found = bd.certify(program, weights=W).primal
    best = min(
        minimize(lambda b: program.primal(W, b), start, method="Nelder-Mead", options=FINE).fun
        for start in (np.zeros(program.outputs), np.median(program.target, axis=0))
    )
    # a simplex method that may stop early is no better than the best
    assert found <= best + 1e-7 * (1 + best)
    given_b = bd.certify(program, weights=W, intercept=0.0).primal
    assert found <= given_b * (1 + 1e-9)


FINE = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 4000}


def test_an_exact_proof_of_weights_alone_is_not_off_by_the_intercept(tmp_path):
    D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    program = bd.ConvexProgram(D, [101.0, 102.0, 100.0], "squared", 0.01, intercept=True)
    solution = bd.solve(program, gap=1e-12)
    alone = bd.certify(program, weights=solution.weights, exact=True)
    assert alone.relative_gap <= 1e-11


def test_a_program_without_an_intercept_gets_none():
    program = random_program("squared", False, outputs=2)
    W = np.ones((program.design.shape[1], 2))
    assert bd.certify(program, weights=W).primal == program.primal(W)
