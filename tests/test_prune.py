"""prune(): never more atoms than Caratheodory's theorem asks for, at no cost, and the rank told."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from targets_for import outputs_for, targets_for

import bidual as bd
from bidual.certificates.rounding import objective_rounding
from bidual.formulations import Penalty
from bidual.solvers import prune

from exact_values import MARGIN, exact_primal
from programs import random_program

KINDS = [
    (loss, penalty, outputs, intercept)
    for loss in bd.LOSSES
    for penalty in ("l1", "group")
    for outputs in (1, 3)
    for intercept in (False, True)
    if outputs > 1 or loss != "softmax"
]
kinds = pytest.mark.parametrize(("loss", "penalty", "outputs", "intercept"), KINDS)


def answer(program, weights, intercept=None):
    """An answer with these weights, as a backend would return it."""
    solution = bd.solve(program, gap=1.0)
    b = np.zeros(program.outputs) if intercept is None else intercept
    W = np.reshape(weights, solution.weights.shape)
    certificate = bd.certify(program, weights=W, intercept=b)
    return replace(
        solution,
        weights=W,
        intercept=b,
        certificate=certificate,
        dual_point=certificate.dual_point,
    )


def counted(solution):
    """What the bound counts: weights under l1, rows under the group norm."""
    W = solution.weights
    return np.count_nonzero(W if solution.program.penalty.separable else W.any(axis=1))


def bound(program):
    return (program.target.shape[0] - program.intercept) * program.outputs


def exact_rank(matrix):
    """Rank of a matrix of integers, by elimination without fractions in Python's own integers."""
    rows = [[int(entry) for entry in row] for row in matrix]
    rank = 0
    for column in range(len(rows[0]) if rows else 0):
        found = next((i for i in range(rank, len(rows)) if rows[i][column]), None)
        if found is None:
            continue
        rows[rank], rows[found] = rows[found], rows[rank]
        pivot = rows[rank]
        for i in range(rank + 1, len(rows)):
            head = rows[i][column]
            if head:
                rows[i] = [
                    pivot[column] * x - head * y for x, y in zip(rows[i], pivot, strict=True)
                ]
        rank += 1
    return rank


def exact_support_rank(program, W):
    """The same of the atoms in use, for W of whole numbers."""
    D = program.design.to_dense(np.int64)
    if program.intercept:
        D = D.shape[0] * D - D.sum(axis=0)
    if program.penalty.separable:
        return sum(exact_rank(D[:, W[:, c] != 0]) for c in range(program.outputs))
    return exact_rank([np.outer(D[:, j], W[j]).ravel() for j in np.flatnonzero(W.any(axis=1))])


def exact_objective(solution):
    return exact_primal(solution.program, solution.weights, solution.intercept)


def rounding(solution):
    """E, by which evaluating the objective in float64 may be off."""
    return objective_rounding(solution.program, solution.weights, solution.intercept)[1]


def assert_not_risen(before, after):
    """The promise in exact arithmetic, which no processor's rounding can keep by luck."""
    rise = exact_objective(after) - exact_objective(before)
    assert rise <= 4 * Fraction(rounding(before)) + MARGIN


def assert_pruned(before, after):
    """The theorem, and that nothing was paid for it."""
    program = before.program
    # pushes move these small objectives by a hundredth of E, and stop beyond 2 E
    assert "dependent atoms remain" not in after.message
    assert counted(after) <= bound(program)
    assert counted(after) == after.support_rank <= before.support_rank
    assert_not_risen(before, after)
    # The gap after is that by the dual point before, or less, and so rises as the objective does.
    # It is summed as the objective is, of parts as large as V (|Z| + |y|) at most.
    fits = [program.affine(each.weights, each.intercept) for each in (before, after)]
    size = program.affine(np.abs(before.weights), np.abs(before.intercept)).max(axis=0)
    parts = (np.abs(before.dual_point) * (size + np.abs(program.target))).sum()
    rate = (sum(program.target.shape) + before.active.size + 16) * 2.0**-53
    room = 6 * rounding(before) + 4 * rate * parts
    assert after.certificate.absolute_gap <= before.certificate.absolute_gap + room
    # a fit is a sum of at most 200 weights, each with its rounding
    assert (np.abs(fits[0] - fits[1]) <= 1e-13 * size).all()
    assert np.array_equal(after.prune().weights, after.weights)


WHOLE = st.integers(-3, 3).map(float)
DECADES = st.builds(lambda size, decade: size * 10.0**decade, st.floats(-3, 3), st.integers(-8, 8))


@st.composite
def answers(draw, numbers):
    """Programs over any few columns, with answers of such numbers, most of them no optimum."""
    rows, atoms = draw(st.integers(1, 6)), draw(st.integers(1, 16))
    loss = draw(st.sampled_from(sorted(bd.LOSSES)))
    outputs = outputs_for(loss, draw(st.integers(1, 3)))
    D = draw(hnp.arrays(np.uint8, (rows, atoms), elements=st.integers(0, 1)))
    targets = draw(hnp.arrays(np.float64, (rows, outputs), elements=WHOLE))
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(D),
        targets_for(loss, targets),
        loss,
        draw(st.sampled_from((0.0, 0.05, 1.0))),
        intercept=draw(st.booleans()),
        penalty=draw(st.sampled_from(("l1", "group"))),
    )
    W = draw(hnp.arrays(np.float64, (atoms, outputs), elements=numbers))
    b = draw(hnp.arrays(np.float64, outputs, elements=numbers))
    return answer(program, W, b * program.intercept)


@given(answers(DECADES))
def test_the_objective_is_evaluated_within_the_bound_on_its_rounding(solution):
    value, error = objective_rounding(solution.program, solution.weights, solution.intercept)
    assert abs(Fraction(value) - exact_objective(solution)) <= Fraction(error) + MARGIN


def test_the_bound_on_rounding_counts_rows_atoms_and_outputs():
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense([[1, 1, 0], [0, 1, 1]]), [3.0, 1.0], "absolute", 0.5
    )
    value, error = objective_rounding(program, np.array([[2.0], [-3.0], [0.0]]), np.zeros(1))
    # |2 - 3 - 3| and |-3 - 1|, half each, and half of 5; slopes of 1 times the largest of 5 and 3
    assert value == 6.5
    assert error == ((2 + 2 + 1 + 16) * 6.5 + (2 + 2) * 5.0) * 2.0**-53


def test_without_a_bound_on_rounding_all_atoms_stay():
    class Steep(type(bd.LOSSES["softmax"])):
        """Softmax, whose curvature is not known."""

        name = "steep"
        curvature = np.inf

    design = bd.BinaryMatrix.from_dense([[1, 1, 0], [0, 0, 1]])
    program = bd.ConvexProgram(design, np.eye(2), Steep(), 0.1, penalty="group")
    W = np.array([[1.0, 0.5], [2.0, 1.0], [0.3, 0.1]])
    assert np.isinf(objective_rounding(program, W, np.zeros(2))[1])
    kept, _, complete = prune.prune(program, W, np.zeros(2))
    assert np.array_equal(kept, W)
    assert not complete
    known = bd.ConvexProgram(design, np.eye(2), "softmax", 0.1, penalty="group")
    assert np.count_nonzero(prune.prune(known, W, np.zeros(2))[0].any(axis=1)) == 2


@given(answers(DECADES))
def test_the_objective_in_exact_arithmetic_rises_by_no_more_than_promised(before):
    after = before.prune()
    assert_not_risen(before, after)
    assert counted(after) <= bound(before.program) or "dependent atoms remain" in after.message


@given(answers(WHOLE))
def test_caratheodory_any_answer_comes_down_to_its_rank_at_no_cost(before):
    assert before.support_rank == exact_support_rank(before.program, before.weights)
    assert_pruned(before, before.prune())


@kinds
def test_caratheodory_optima_of_every_program_come_down_to_the_bound(
    loss, penalty, outputs, intercept
):
    # all 31 columns of 5 rows, twice: an optimum shares its weights among repeats and more
    codes = np.arange(1, 32)
    columns = np.tile(codes[None] >> np.arange(5)[:, None] & 1, 2)
    rng = np.random.default_rng(3)
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(columns),
        targets_for(loss, rng.normal(size=(5, outputs))),
        loss,
        intercept=intercept,
        penalty=penalty,
    )
    program = program.with_strength(0.1 * program.lambda_max)
    half = program.take(np.arange(31))
    one = bd.solve(half, gap=1e-7, backend="clarabel")  # an interior point: of widest support
    shared = np.vstack([0.7 * one.weights, 0.3 * one.weights])
    before = answer(program, shared, one.intercept)
    after = before.prune()
    assert before.active.size > after.active.size
    assert_pruned(before, after)


@kinds
@pytest.mark.parametrize("strength", [0.0, 0.05])
def test_dense_answers_come_down_to_the_bound(loss, penalty, outputs, intercept, strength):
    program = random_program(loss, intercept, outputs, penalty=penalty, rows=7, atoms=60)
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(60, outputs)), rng.normal(size=outputs) * intercept
    before = answer(program.with_strength(strength), W, b)
    after = before.prune()
    assert_pruned(before, after)
    assert counted(after) == bound(program)  # random columns: every vertex is as wide as that


def test_the_average_of_two_optima_is_pruned_to_an_optimum():
    # 1 1 0 0 + 0 0 1 1 is 1 0 1 0 + 0 1 0 1: either pair fits, and so does every average
    D = bd.BinaryMatrix.from_dense(
        np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]]).T
    )
    program = bd.ConvexProgram(D, np.ones(4), strength=0.05)
    best = 1.0 - 0.05 * 4 / 2  # each of two atoms has a price of 2 (1 - w) / 4 = 0.05
    before = answer(program, np.full(4, best / 2))
    assert before.certificate.relative_gap < 1e-15
    after = before.prune()
    assert (before.support_rank, after.active.size) == (3, 2)
    assert after.weights[after.active].ravel() == pytest.approx([best, best], rel=1e-15)
    assert after.status is bd.Status.CERTIFIED
    assert after.message.endswith("pruned from 4 atoms to 2")


def test_the_group_norm_needs_more_atoms_than_the_rank_of_their_columns():
    # the columns span 2 dimensions, but with directions 120 degrees apart no row can go
    D = bd.BinaryMatrix.from_dense([[1, 0, 1], [0, 1, 1]])
    angles = 2 * np.pi / 3 * np.arange(3)
    W = np.column_stack([np.cos(angles), np.sin(angles)])
    program = bd.ConvexProgram(D, D.matvec(W), penalty="group", strength=0.01)
    before = answer(program, W)
    after = before.prune()
    assert after.support_rank == 3
    assert np.array_equal(after.weights, W)
    # under l1 outputs come down on their own, to two weights each
    entrywise = answer(bd.ConvexProgram(D, D.matvec(W), strength=0.01), W)
    assert counted(entrywise) == 5
    assert counted(entrywise.prune()) == entrywise.support_rank == 4


def test_a_column_of_zeros_or_beside_an_intercept_of_ones_carries_nothing():
    D = bd.BinaryMatrix.from_dense([[0, 1, 1], [0, 1, 0], [0, 1, 1]])
    program = bd.ConvexProgram(D, [1.0, 2.0, 3.0], strength=0.1, intercept=True)
    before = answer(program, [5.0, 2.0, -0.5], np.array([0.5]))
    after = before.prune()
    assert before.support_rank == 1
    assert after.weights.ravel() == pytest.approx([0.0, 0.0, -0.5], abs=1e-15)
    assert after.intercept == pytest.approx([2.5], rel=1e-15)


def test_an_answer_without_atoms_stays():
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense([[1, 1]]), [1.0], strength=2.0)
    after = bd.solve(program).prune()
    assert after.support_rank == after.active.size == 0


def test_long_answers_are_pruned_in_parts():
    rng = np.random.default_rng(0)
    D = bd.BinaryMatrix.from_dense(rng.random((20, 3000)) < 0.5)
    W = rng.normal(size=3000)
    before = answer(bd.ConvexProgram(D, D.matvec(W), strength=1e-3), W)
    after = before.prune()
    assert after.active.size == before.support_rank == 20
    assert after.certificate.primal < before.certificate.primal


def test_a_thousand_atoms_on_two_thousand_rows_come_down_to_their_rank():
    rng = np.random.default_rng(0)
    columns = rng.random((2000, 500)) < 0.3
    D = bd.BinaryMatrix.from_dense(np.hstack([columns, columns]))
    W = rng.random(1000) + 0.1  # of one sign: the norm stays as it is
    before = answer(bd.ConvexProgram(D, D.matvec(W), "absolute", strength=1e-3), W)
    after = before.prune()
    assert after.active.size == 500
    assert after.weights[:500] + after.weights[500:] == pytest.approx(
        (W[:500] + W[500:])[:, None], rel=1e-11
    )
    # sums of 1000 weights around 300, on rows that lose nothing at first
    assert after.certificate.primal == pytest.approx(before.certificate.primal, rel=1e-12)


def banded(seed):
    """A band of which the inverse grows as 1.47**80 = 2e13, and weights over 14 decades."""
    band = np.eye(80) + np.eye(80, k=1) + np.eye(80, k=3)
    D = bd.BinaryMatrix.from_dense(np.hstack([band, band[:, [26]] + band[:, 30:35]]))
    rng = np.random.default_rng(seed)
    W = np.abs(rng.normal(size=85)) * 10.0 ** rng.uniform(-14, 0, size=85)
    return answer(bd.ConvexProgram(D, D.matvec(W), "absolute", strength=1e-3), W)


@pytest.mark.parametrize("seed", range(5))
def test_the_promise_holds_where_pushes_round_badly(seed):
    # how badly, and so whether all of them are made, differs from processor to processor
    before = banded(seed)
    after = before.prune()
    assert_not_risen(before, after)
    assert after.active.size <= before.support_rank or "dependent atoms remain" in after.message


@pytest.mark.parametrize("good", [0, 1, 2, 5])
def test_pruning_stops_where_rounding_would_raise_the_objective_and_says_so(monkeypatch, good):
    rng = np.random.default_rng(0)
    columns = rng.random((40, 5)) < 0.5
    D = bd.BinaryMatrix.from_dense(np.hstack([columns, columns]))  # five pushes
    W = rng.random(10) + 0.1
    before = answer(bd.ConvexProgram(D, D.matvec(W), "absolute", strength=1e-3), W)
    vertex = prune._vertex

    def rounded_badly(atoms, sizes, pushes):
        x = vertex(atoms, sizes, pushes)
        done = np.count_nonzero(x == 0)
        return x if done <= good else x * (1 + 1e-9)

    monkeypatch.setattr(prune, "_vertex", rounded_badly)
    after = before.prune()
    # halves are tried: 10, 5, 2, 1
    assert after.active.size == 10 - good
    assert_not_risen(before, after)
    told = after.message.endswith(
        "dependent atoms remain, because rounding could raise the objective"
    )
    assert told == (good < 5)


def test_a_gap_that_is_certified_no_more_is_no_longer_called_so():
    program = random_program("squared")
    solution = bd.solve(program, gap=1e-6)
    asked = 0.5 * solution.certificate.relative_gap
    assert replace(solution, asked_gap=asked).prune().status is bd.Status.INACCURATE
    waiting = replace(solution, asked_gap=asked, status=bd.Status.TIME_LIMIT)
    assert waiting.prune().status is bd.Status.TIME_LIMIT
    assert replace(waiting, asked_gap=1e-6).prune().status is bd.Status.CERTIFIED


def test_other_penalties_are_refused():
    class Largest(Penalty):
        name, separable = "largest", True

        def value(self, W):
            return np.abs(W).max(axis=0)

        def conjugate(self, prices, strength):
            return np.where(np.abs(prices).sum(axis=0) <= strength, 0.0, np.inf)

        def scaling(self, prices, strength):
            return strength / np.maximum(np.abs(prices).sum(axis=0), strength)

        def prox(self, points, step):
            # what is left of the projection on the l1 ball of prices
            left = points.copy()
            for c, column in enumerate(points.T):
                sizes = np.sort(np.abs(column))[::-1]
                over = (np.cumsum(sizes) - step) / np.arange(1, len(sizes) + 1)
                cut = over[np.flatnonzero(sizes > over)[-1]] if np.abs(column).sum() > step else 0.0
                inside = np.sign(column) * np.maximum(np.abs(column) - max(cut, 0.0), 0.0)
                left[:, c] -= inside if cut > 0 else column
            return left

    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense([[1, 1]]), [1.0], penalty=Largest())
    solution = bd.solve(random_program("squared", outputs=1, rows=1, atoms=2))
    other = replace(solution, program=program)
    with pytest.raises(ValueError, match=r"penalty l1 or group.*largest"):
        other.prune()
    with pytest.raises(ValueError, match=r"penalty l1 or group.*largest"):
        _ = other.support_rank
