"""Losses, penalties and backends of a user's own: solved rightly or refused by name, never falsely.

The classes are those of the pages docs/pinball_loss.md, docs/elastic_net.md and
docs/fista_backend.md, whose blocks run here, and copies of bidual's own.
"""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import bidual as bd
from bidual.formulations.epigraph import Block, Epigraph
from bidual.formulations.losses.loss import kernel_prox
from bidual.kernels import descent

from covering import examples, slow
from programs import random_program

DOCS = Path(bd.__file__).parent / "docs"
PAGES = ("pinball_loss", "elastic_net", "fista_backend")
GAP = 1e-6
# first-order methods end earlier on some program here, OSQP on linear programs above all, on which
# its splitting crawls; liblinear penalises the intercept a little
LOOSE = {"osqp": 1e-3, "scs": 1e-5, "admm": 1e-5, "sklearn": 1e-5}

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="needs the checkout, not a wheel")


def blocks(page, language):
    text = (DOCS / f"{page}.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def defined(page):
    """The names of the first block of a page: its class."""
    names = {}
    exec(compile(blocks(page, "python")[0], f"{page}.md", "exec"), names)
    return names


if DOCS.exists():
    Pinball = defined("pinball_loss")["Pinball"]
    ElasticNet = defined("elastic_net")["ElasticNet"]
    FISTA = defined("fista_backend")["FISTA"]


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_the_pages_print_what_they_show(page):
    names, said = {}, StringIO()
    with redirect_stdout(said):
        for block in blocks(page, "python"):
            exec(compile(block, f"{page}.md", "exec"), names)
    assert said.getvalue() == "".join(blocks(page, "text"))


def with_parts(loss, penalty, outputs, intercept, seed=0):
    """A random program of a loss and a penalty, each a name or an object."""
    known = loss if isinstance(loss, str) else ("squared" if not loss.labels else "hinge")
    other = random_program(known, intercept, outputs, seed)
    program = bd.ConvexProgram(
        other.design,
        other.target,
        loss,
        0.0,
        other.row_weights,
        intercept,
        penalty=penalty,
    )
    return program.with_strength(0.2 * program.lambda_max)


def own(name, kinds):
    """A subclass that changes nothing: bidual must not take it for its own."""
    kind = type(kinds[name])
    return type(f"Mine{kind.__name__}", (kind,), {"name": f"my {name}"})()


class Half(bd.Penalty):
    """Half the l1 norm; its prices are bounded by half the strength."""

    name, separable = "half", True

    def value(self, W):
        return 0.5 * np.abs(W).sum(axis=0)

    def prox(self, points, step):
        return np.sign(points) * np.maximum(np.abs(points) - 0.5 * step, 0)

    def conjugate(self, prices, strength):
        return np.where(np.abs(prices).max(axis=0) <= 0.5 * strength, 0.0, np.inf)

    def scaling(self, prices, strength):
        largest = np.maximum(np.abs(prices).max(axis=0), 0.5 * strength)
        return 0.5 * strength / largest


class Rows(bd.Penalty):
    """Twice the group norm: outputs are coupled, and no solver knows it for a norm."""

    name, separable = "rows", False

    def value(self, W):
        return 2 * np.linalg.norm(W, axis=1).sum(keepdims=True)

    def prox(self, points, step):
        return bd.Group().prox(points, 2 * step)

    def conjugate(self, prices, strength):
        return bd.Group().conjugate(prices, 2 * strength)

    def scaling(self, prices, strength):
        return bd.Group().scaling(prices, 2 * strength)


PARTS = {
    "pinball + l1": lambda: (Pinball(0.8), "l1"),
    "pinball + group": lambda: (Pinball(0.3), "group"),
    "squared + elastic net": lambda: ("squared", ElasticNet(0.6)),
    "logistic + elastic net": lambda: ("logistic", ElasticNet(0.2)),
    "pinball + elastic net": lambda: (Pinball(0.5), ElasticNet(0.5)),
    "softmax + elastic net": lambda: ("softmax", ElasticNet(0.5)),
    "hinge + half": lambda: ("hinge", Half()),
    "softmax + half": lambda: ("softmax", Half()),
    "squared + rows": lambda: ("squared", Rows()),
    "squared + my l1": lambda: ("squared", own("l1", bd.PENALTIES)),
    "squared + my group": lambda: ("squared", own("group", bd.PENALTIES)),
}
for each in ("squared", "absolute", "huber", "hinge", "squared_hinge", "logistic"):
    PARTS[f"my {each} + l1"] = lambda each=each: (own(each, bd.LOSSES), "l1")
LONG = [f"my {each} + l1" for each in ("absolute", "huber", "hinge", "squared_hinge")]
SHORT = [parts for parts in PARTS if parts not in LONG]


@pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("parts", [*SHORT, *slow(*LONG)])
def test_every_backend_solves_a_users_parts_rightly_or_names_what_is_missing(
    parts, outputs, intercept
):
    loss, penalty = PARTS[parts]()
    outputs = max(outputs, 2) if loss == "softmax" else outputs
    program = with_parts(loss, penalty, outputs, intercept)
    found = {}
    for name, backend in bd.BACKENDS.items():
        if backend.available():
            continue
        reason = backend.accepts(program)
        if reason is not None:
            named = program.loss.name in reason or program.penalty.name in reason
            assert named or "row weights" in reason or "strength" in reason, reason
            with pytest.raises(bd.ProgramNotAccepted):
                bd.solve(program, name)
            continue
        found[name] = bd.solve(program, name, gap=GAP, time_limit=60)
    assert "admm" in found
    best = min(solution.certificate.primal for solution in found.values())
    for name, solution in found.items():
        certificate = solution.certificate
        # a lower bound above another's objective would be a false proof
        assert certificate.dual <= best + 1e-12 * program.reference, name
        assert certificate.primal - certificate.absolute_gap <= best + 1e-12 * program.reference
        assert certificate.relative_gap <= LOOSE.get(name, GAP), f"{name}: {solution}"


@pytest.mark.parametrize("name", bd.LOSSES)
def test_a_copy_of_an_own_loss_goes_the_same_way_but_not_by_kernels(name):
    outputs = 3 if name == "softmax" else 1
    theirs = random_program(name, True, outputs)
    mine = bd.ConvexProgram(
        theirs.design,
        theirs.target,
        own(name, bd.LOSSES),
        theirs.strength,
        theirs.row_weights,
        True,
    )
    first, second = (bd.solve(program, "admm", gap=1e-5) for program in (theirs, mine))
    # the kernel and NumPy round differently; both are certified
    room = (first.certificate.relative_gap + second.certificate.relative_gap) * theirs.reference
    assert abs(first.certificate.primal - second.certificate.primal) <= room
    assert "lasso" not in bd.solve(mine).backend
    assert bd.BACKENDS["lasso"].accepts(mine)
    with pytest.raises(ValueError, match="expected one of"):
        bd.certify(mine, second, exact=True)


def test_half_the_norm_at_twice_the_strength_is_the_norm():
    program = random_program("squared", True, 1)
    half = bd.ConvexProgram(
        program.design,
        program.target,
        "squared",
        2 * program.strength,
        program.row_weights,
        True,
        penalty=Half(),
    )
    assert half.lambda_max == pytest.approx(2 * program.lambda_max, rel=1e-11)
    solution = bd.solve(half, gap=1e-9)
    expected = bd.solve(program, gap=1e-9).certificate.primal
    assert solution.certificate.primal == pytest.approx(expected, rel=1e-8)
    V = solution.dual_point
    assert half.dual(V) == pytest.approx(program.dual(V), rel=1e-12)
    assert half.dual(1.001 * V) == program.dual(1.001 * V) == -np.inf


@pytest.mark.parametrize("penalty", [ElasticNet(0.3), Half(), Rows()] if DOCS.exists() else [])
@pytest.mark.parametrize("loss", ["squared", "logistic", "absolute"])
def test_lambda_max_is_where_zero_weights_become_optimal(loss, penalty):
    program = with_parts(loss, penalty, 2, True)
    at, below = (program.with_strength(t * program.lambda_max) for t in (1 + 1e-9, 0.95))
    nothing = np.zeros((program.design.shape[1], 2))
    assert bd.certify(at, weights=nothing, intercept=at.null_intercept).relative_gap < 1e-8
    if loss != "absolute":  # there lambda_max is a bound
        assert bd.solve(below, gap=1e-7).active.size > 0


@given(data=st.data())
@examples(60)
def test_no_bound_is_above_the_optimum_whatever_the_dual_point(data):
    parts = data.draw(st.sampled_from(["squared + elastic net", "hinge + half", "squared + rows"]))
    program = with_parts(*PARTS[parts](), 2, data.draw(st.booleans()))
    optimum = OPTIMA.setdefault((parts, program.intercept), bd.solve(program, gap=1e-9))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    V = rng.normal(size=program.target.shape) * 10.0 ** rng.uniform(-6, 2)
    W = rng.normal(size=(program.design.shape[1], 2)) * 10.0 ** rng.uniform(-6, 1)
    proven = bd.certify(program, weights=W, dual_point=V)
    least = optimum.certificate.primal * (1 + 1e-12)
    assert max(proven.dual, proven.primal - proven.absolute_gap) <= least
    assert program.dual(V) <= least


OPTIMA = {}


class WrongSign(Pinball if DOCS.exists() else object):
    """Its gradient goes uphill."""

    def gradient(self, z, y):
        return -super().gradient(z, y)


class WrongConjugate(Pinball if DOCS.exists() else object):
    """Its conjugate lacks the sign of the dual point."""

    def conjugate(self, v, y, a):
        return v * y


class WrongProx(Pinball if DOCS.exists() else object):
    """Its operator takes half the step."""

    def prox(self, points, y, steps):
        return super().prox(points, y, 0.5 * steps)


class WrongDomain(Pinball if DOCS.exists() else object):
    """Its domain is that of twice the loss: bounds would be too high."""

    def domain(self, y, a):
        lower, upper = super().domain(y, a)
        return 2 * lower, 2 * upper


class WeightlessDomain(Pinball if DOCS.exists() else object):
    name = "weightless domain"

    def domain(self, y, a):
        return super().domain(y, np.maximum(a, 0.1))


class WrongSecond(type(bd.LOSSES["logistic"])):
    """Its second derivative is the first."""

    def second(self, z, y):
        return np.abs(self.gradient(z, y))


class WrongValue(type(bd.LOSSES["squared"])):
    """Twice the loss whose other methods it inherits."""

    def value(self, z, y):
        return 2 * super().value(z, y)


class Negative(type(bd.LOSSES["squared"])):
    """Goes below 0, where V = 0 no longer proves the bound 0."""

    def value(self, z, y):
        return super().value(z, y) - 1.0


class WrongCode(type(bd.LOSSES["squared"])):
    """Takes the kernel of the absolute loss."""

    code = 3


class NoSuchCode(type(bd.LOSSES["squared"])):
    """Takes a kernel that does not exist."""

    code = 7


class BoundlessHuber(bd.Huber):
    """Far from 0 its domain is that of the squared loss."""

    name = "boundless huber"

    def domain(self, y, a):
        bound = np.where(a > 0, np.inf, 0.0) * np.ones_like(y)
        return -bound, bound


class Root(Pinball if DOCS.exists() else object):
    """The root of the residual, which is not convex."""

    def value(self, z, y):
        return np.sqrt(np.abs(z - y))

    def gradient(self, z, y):
        return 0.5 * np.sign(z - y) / np.sqrt(np.abs(z - y))


class WrongTerms(type(bd.LOSSES["squared"])):
    """Its Fenchel-Young terms are too small: certificates would be too."""

    def fenchel_young(self, z, v, y, a):
        return 0.5 * super().fenchel_young(z, v, y, a)


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (WrongSign, r"gradient\(\)"),
        (WrongConjugate, r"conjugate\(\) is wrong"),
        (WrongProx, r"prox\(\)"),
        (WrongDomain, r"conjugate\(\) is too small, or domain\(\) too large"),
        (WeightlessDomain, r"domain\(\) must be 0 where the row weight a is 0"),
        (WrongSecond, r"second\(\)"),
        (WrongValue, r"gradient\(\)"),
        (Negative, r"value\(\) is -"),
        (WrongCode, r"code 3 computes another loss"),
        (NoSuchCode, r"no kernel has the code 7"),
        (WrongTerms, r"fenchel_young\(\)"),
        (lambda: BoundlessHuber(20.0), r"conjugate\(\) is too small, or domain\(\) too large"),
        (Root, r"value\(\) is not convex"),
    ],
)
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_loss_that_breaks_a_law_is_refused(kind, law, outputs):
    pinball = DOCS.exists() and isinstance(kind, type) and issubclass(kind, Pinball)
    loss = kind(0.7) if pinball else kind()
    program = random_program("hinge" if loss.labels else "squared", outputs=outputs)
    with pytest.raises(ValueError, match=rf"^loss {loss.name}: .*{law}"):
        bd.ConvexProgram(program.design, program.target, loss)


class UnscaledElastic(ElasticNet if DOCS.exists() else object):
    """Its conjugate forgets the strength."""

    def conjugate(self, prices, strength):
        return super().conjugate(prices, 1.0)


class BoundedElastic(ElasticNet if DOCS.exists() else object):
    """Its scaling is that of a norm."""

    def scaling(self, prices, strength):
        return bd.L1().scaling(prices, strength)


class Unshrunk(Half):
    """Its scaling allows twice the prices that its conjugate does: false bounds."""

    def scaling(self, prices, strength):
        return bd.L1().scaling(prices, strength)


class WrongOperator(Half):
    """Its operator is that of the whole norm."""

    def prox(self, points, step):
        return bd.L1().prox(points, step)


class NotZero(Half):
    """Costs something without weights."""

    def value(self, W):
        return super().value(W) + 1.0


class Coupled(Half):
    """Says that outputs separate, and they do not."""

    def value(self, W):
        return np.full(W.shape[1], super().value(W).sum())


class SaysNorm(Half):
    """Says that it is the l1 norm, which solvers know."""

    norm = "entries"


class Unbounded(Half):
    """Forgets that prices are bounded: every bound would be a false proof."""

    def conjugate(self, prices, strength):
        return np.zeros(prices.shape[1])

    def scaling(self, prices, strength):
        return np.ones(prices.shape[1])


class OneSided(Half):
    """Bounds prices above 0 alone."""

    def conjugate(self, prices, strength):
        return np.where(prices.max(axis=0) <= 0.5 * strength, 0.0, np.inf)

    def scaling(self, prices, strength):
        return 0.5 * strength / np.maximum(prices.max(axis=0), 0.5 * strength)


class Nothing(Unbounded):
    """Costs nothing, and says that prices cost nothing either."""

    def value(self, W):
        return np.zeros(W.shape[1])

    def prox(self, points, step):
        return points.copy()


class ForgedTerms(Half):
    """Its terms are 0 everywhere, as they are at an optimum."""

    name = "forged"

    def fenchel_young(self, W, prices, strength):
        return np.zeros(W.shape[1])


class ForgedNorm(type(bd.PENALTIES["l1"])):
    """The same, of a norm."""

    name = "forged norm"
    norm = "entries"

    def fenchel_young(self, W, prices, strength):
        return np.zeros(W.shape[1])


class Failing(Half):
    """Cannot take several outputs."""

    def value(self, W):
        raise IndexError("one column only")


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (Unbounded, r"conjugate\(\) is too small, or scaling\(\) too large"),
        (OneSided, r"conjugate\(\) is too small, or scaling\(\) too large"),
        (Nothing, r"conjugate\(\) is too small, or scaling\(\) too large"),
        (ForgedTerms, r"fenchel_young\(\)"),
        (ForgedNorm, r"fenchel_young\(\)"),
        (Failing, r"a method failed on arrays of shape .*IndexError: one column only"),
        (UnscaledElastic, r"conjugate\(\) is (wrong|too small)"),
        (BoundedElastic, r"scaling\(\)"),
        (Unshrunk, r"scaling\(\)"),
        (WrongOperator, r"scaling\(\)|prox\(\)"),
        (NotZero, r"value\(\)"),
        (Coupled, r"value\(\) is not a sum over outputs; set separable = False"),
        (SaysNorm, r"norm"),
    ],
)
def test_a_penalty_that_breaks_a_law_is_refused(kind, law):
    penalty = kind(0.5) if DOCS.exists() and issubclass(kind, ElasticNet) else kind()
    program = random_program("squared")
    with pytest.raises(ValueError, match=rf"^penalty {penalty.name}: .*({law})"):
        bd.ConvexProgram(program.design, program.target, penalty=penalty)


class Weighted(bd.Penalty):
    """An l1 norm with a weight per atom (P,)."""

    name, separable = "weighted", True

    def __init__(self, weights):
        self.weights = np.asarray(weights)[:, None]

    def value(self, W):
        return (self.weights * np.abs(W)).sum(axis=0)

    def prox(self, points, step):
        return np.sign(points) * np.maximum(np.abs(points) - step * self.weights, 0)

    def conjugate(self, prices, strength):
        feasible = (np.abs(prices) <= strength * self.weights).all(axis=0)
        return np.where(feasible, 0.0, np.inf)

    def scaling(self, prices, strength):
        limits = strength * self.weights
        return (limits / np.maximum(np.abs(prices), limits)).min(axis=0)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_penalty_may_have_a_weight_per_atom(outputs):
    program = random_program("squared", outputs=outputs)
    atoms = program.design.shape[1]
    alike, uneven = np.ones(atoms), np.linspace(0.5, 2.0, atoms)
    parts = program.design, program.target, "squared", program.strength, program.row_weights
    same = bd.ConvexProgram(*parts, penalty=Weighted(alike))
    expected = bd.solve(program, gap=1e-9).certificate.primal
    assert bd.solve(same, gap=1e-9).certificate.primal == pytest.approx(expected, rel=1e-8)
    # weights of atoms are units of columns
    other = bd.ConvexProgram(*parts, penalty=Weighted(uneven))
    scaled = bd.DenseMatrix(program.design.to_dense() / uneven)
    expected = bd.solve(program.over(scaled), gap=1e-9).certificate.primal
    assert bd.solve(other, gap=1e-9).certificate.primal == pytest.approx(expected, rel=1e-8)


class Rounded(bd.Loss):
    """sqrt(1 + (z - y)^2), whose cone form has one small second-order cone per row."""

    name, curvature, continuous_second = "rounded", 1.0, True

    def value(self, z, y):
        return np.sqrt(1 + (z - y) ** 2)

    def gradient(self, z, y):
        return (z - y) / self.value(z, y)

    def second(self, z, y):
        return self.value(z, y) ** -3

    def domain(self, y, a):
        return np.broadcast_to(-a, y.shape), np.broadcast_to(a, y.shape)

    def conjugate(self, v, y, a):
        return -v * y - np.sqrt(np.maximum(a**2 - v**2, 0))

    def prox(self, points, y, steps):
        far = np.abs(points - y)
        low, high = np.zeros_like(far), far
        for _ in range(80):
            middle = (low + high) / 2
            short = middle + steps[:, None] * middle / np.sqrt(1 + middle**2) < far
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return y + np.sign(points - y) * high

    def epigraph(self, y, a, quadratic):
        n = len(y)  # (t_i, z_i - y_i, 1) in the cone, and the costs are a_i t_i
        first = 3 * np.arange(n)
        shape, one = (3 * n, n), (-np.ones(n))
        bounds = np.zeros((3 * n, y.shape[1]))
        bounds[1::3], bounds[2::3] = -y, 1.0
        cones = Block(
            "second_order",
            sparse.csc_array((one, (first + 1, np.arange(n))), shape=shape),
            sparse.csc_array((one, (first, np.arange(n))), shape=shape),
            bounds,
            3,
        )
        costs = np.repeat(a.reshape(-1, 1), y.shape[1], axis=1)
        still = np.zeros(n), np.zeros_like(y), np.zeros(n)
        return Epigraph(*still, costs, np.zeros(y.shape[1]), (cones,))


@pytest.mark.parametrize("penalty", ["l1", "group"])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("backend", ["clarabel", "scs", "ecos"])
def test_a_loss_of_many_small_cones_is_solved_with_several_outputs(backend, outputs, penalty):
    pytest.importorskip(backend)
    program = with_parts(Rounded(), penalty, outputs, True)
    expected = bd.solve(program, "newton", gap=1e-8).certificate.primal
    found = bd.solve(program, backend, gap=LOOSE.get(backend, GAP)).certificate
    assert found.relative_gap <= LOOSE.get(backend, GAP)
    assert found.primal == pytest.approx(expected, rel=1e-4)


class Chosen(Weighted):
    """The same, which follows a choice of atoms."""

    name = "chosen"

    def take(self, columns):
        return Chosen(self.weights[columns, 0])


def test_a_penalty_with_a_weight_per_atom_follows_chosen_atoms():
    program = random_program("squared", outputs=1)
    weights = np.linspace(0.5, 2.0, program.design.shape[1])
    parts = program.target, "squared", program.strength, program.row_weights
    columns = np.array([4, 1, 2])
    some = bd.ConvexProgram(program.design, *parts, penalty=Chosen(weights)).take(columns)
    expected = bd.ConvexProgram(
        program.design.take(columns), *parts, penalty=Chosen(weights[columns])
    )
    W = np.array([[1.0], [-2.0], [0.5]])
    assert some.primal(W) == expected.primal(W)
    assert bd.solve(some, gap=1e-9).certificate.relative_gap <= 1e-9
    forgetful = bd.ConvexProgram(program.design, *parts, penalty=Weighted(weights))
    with pytest.raises(ValueError, match=r"^penalty weighted: "):
        forgetful.take(columns)
    with pytest.raises(ValueError, match=r"^penalty weighted: "):
        forgetful.over(program.design.take([0]))
    chosen = bd.ConvexProgram(program.design, *parts, penalty=Chosen(weights))
    mask = np.isin(np.arange(len(weights)), [1, 2, 4])
    for same in ((4, 1, 2), [-1 - len(weights) + 5, 1, 2]):
        assert chosen.take(same).primal(W) == expected.primal(W)
    assert chosen.take(mask).primal(W[[1, 2, 0]]) == pytest.approx(expected.primal(W))
    assert chosen.take([]).design.shape[1] == 0


class OneOutput(Half):
    """Right for one output, and not for several."""

    name = "one output"

    def conjugate(self, prices, strength):
        return super().conjugate(prices, strength) - (prices.shape[1] > 1)


class OneColumn(Pinball if DOCS.exists() else object):
    """The same, a loss."""

    name = "one column"

    def gradient(self, z, y):
        return super().gradient(z, y) * (1 if y.shape[1] == 1 else -1)


@pytest.mark.parametrize("part", [{"penalty": OneOutput}, {"loss": lambda: OneColumn(0.5)}])
def test_an_instance_is_tried_again_at_other_numbers_of_outputs(part):
    parts = {word: make() for word, make in part.items()}
    one, three = (random_program("squared", outputs=outputs) for outputs in (1, 3))
    bd.ConvexProgram(one.design, one.target, **parts)
    with pytest.raises(ValueError, match=r"^(penalty one output|loss one column): "):
        bd.ConvexProgram(three.design, three.target, **parts)


class Ridge(bd.Penalty):
    """Half the sum of squares, under which W = 0 is never optimal."""

    name, separable = "ridge", True

    def value(self, W):
        return 0.5 * (W**2).sum(axis=0)

    def prox(self, points, step):
        return points / (1 + step)

    def conjugate(self, prices, strength):
        return (prices**2).sum(axis=0) / (2 * strength)

    def scaling(self, prices, strength):
        return np.ones(prices.shape[1])


class Free(Ridge):
    """Ridge, whose conjugate is wrong at strength 0 alone."""

    name = "free"

    def conjugate(self, prices, strength):
        return super().conjugate(prices, strength) if strength else np.zeros(prices.shape[1])


def test_at_strength_zero_a_penalty_that_is_no_norm_pays_for_no_price():
    program = random_program("squared", outputs=1)
    free = bd.ConvexProgram(program.design, program.target, "squared", 0.0, penalty=Free())
    proven = bd.certify(free, weights=np.zeros((program.design.shape[1], 1)))
    assert proven.dual == 0.0  # that of V = 0
    assert proven.primal == pytest.approx(free.primal(np.zeros((program.design.shape[1], 1))))
    priced = np.ones_like(program.target)
    assert free.dual(priced) == -np.inf
    assert free.dual(0 * priced) == 0.0


def test_forged_terms_prove_nothing_where_no_law_was_tried():
    class Late(Ridge):
        name = "late ridge"
        forged = False

        def fenchel_young(self, W, prices, strength):
            found = super().fenchel_young(W, prices, strength)
            return np.zeros_like(found) if self.forged else found

    penalty = Late()
    program = random_program("squared", outputs=1)
    parts = program.design, program.target, "squared", 0.1, program.row_weights
    mine = bd.ConvexProgram(*parts, penalty=penalty)
    nothing = np.zeros((program.design.shape[1], 1))
    right = bd.certify(mine, weights=nothing).absolute_gap
    penalty.forged = True
    forged = bd.certify(mine, weights=nothing).absolute_gap
    assert right > 0.01
    assert forged >= 0.99 * right


def test_ridge_is_solved_and_has_no_largest_strength():
    program = random_program("squared", outputs=1)
    ridge = bd.ConvexProgram(
        program.design, program.target, "squared", 0.1, program.row_weights, penalty=Ridge()
    )
    assert ridge.lambda_max == np.inf
    D, a = program.design.to_dense(), program.row_weights[:, None]
    exact = np.linalg.solve(D.T @ (a * D) + 0.1 * np.eye(D.shape[1]), D.T @ (a * program.target))
    solution = bd.solve(ridge, gap=1e-10)
    np.testing.assert_allclose(solution.weights, exact, atol=1e-4)
    assert solution.certificate.primal == pytest.approx(ridge.primal(exact), rel=1e-9)


def test_wrong_terms_prove_nothing_where_no_law_was_tried():
    # a conjugate that is too small for targets far from those that the laws tried
    class Late(type(bd.LOSSES["squared"])):
        name = "late"
        wrong = False
        fenchel_young = bd.Loss.fenchel_young

        def conjugate(self, v, y, a):
            found = super().conjugate(v, y, a)
            return found - 100.0 if self.wrong else found

    loss = Late()
    program = random_program("squared", outputs=1)
    parts = program.design, program.target, loss, program.strength, program.row_weights
    mine = bd.ConvexProgram(*parts)
    good = bd.solve(mine)
    loss.wrong = True
    proven = bd.certify(mine, weights=good.weights)
    assert proven.absolute_gap == proven.primal  # that of V = 0


@pytest.mark.parametrize("kind", [bd.Loss, bd.Penalty])
def test_a_class_without_a_name_is_refused(kind):
    base = Pinball if kind is bd.Loss else Half
    body = {name: value for name, value in vars(base).items() if not name.startswith("__")}
    body.pop("name", None)
    nameless = type("Nameless", (kind,), body | {"__init__": base.__init__})
    part = nameless(0.5) if kind is bd.Loss else nameless()
    word = "loss" if kind is bd.Loss else "penalty"
    with pytest.raises(ValueError, match=rf"^{word}: expected the class Nameless to set name"):
        bd.ConvexProgram(D2, [1.0, 2.0], **{word: part})


D2 = bd.BinaryMatrix.from_dense([[1, 0], [0, 1]])


@pytest.mark.parametrize(("word", "given"), [("loss", bd.Huber), ("penalty", bd.L1)])
def test_a_class_in_place_of_an_instance_is_refused(word, given):
    with pytest.raises(ValueError, match=rf"^{word}: expected one of .* or an instance of"):
        bd.ConvexProgram(D2, [1.0, 2.0], **{word: given})


class Offers(bd.Backend):
    """Offers what it was made with."""

    name = "offers"

    def __init__(self, *answer, reason=None):
        self.answer, self.reason = answer, reason

    def accepts(self, program):
        return self.reason

    def solve(self, model, monitor, options):
        monitor.offer(*self.answer)
        return "offered"


def test_offers_of_other_shapes_are_refused_by_name():
    program = bd.ConvexProgram(D2, [1.0, 2.0], strength=0.1, intercept=True)
    for answer in (([1.0, 2.0], 0.5), ([[1.0], [2.0]], [0.5], [0.0, 0.0])):
        assert bd.solve(program, Offers(*answer)).status is not bd.Status.FAILED
    for named, answer in (
        ("weights", ([1.0], [0.0])),
        ("weights", ([[1.0, 2.0]], [0.0])),
        ("intercept", ([1.0, 2.0], [0.0, 0.0])),
        ("dual_point", ([1.0, 2.0], [0.0], [0.0])),
    ):
        with pytest.raises(ValueError, match=rf"^{named}: expected shape .* from the backend"):
            bd.solve(program, Offers(*answer))


@pytest.mark.parametrize("reason", [True, False, 1])
def test_a_backend_that_accepts_with_anything_but_a_reason_is_refused(reason):
    program = bd.ConvexProgram(D2, [1.0, 2.0], strength=0.1)
    with pytest.raises(ValueError, match=r"^backend offers: expected accepts\(\) to return"):
        bd.solve(program, Offers([0.0, 0.0], 0.0, reason=reason))


def test_a_backend_whose_package_is_missing_names_the_package():
    class Absent(FISTA):
        package = "no-such-distribution"

    with pytest.raises(bd.BackendUnavailable, match=r"pip install no-such-distribution$"):
        bd.solve(bd.ConvexProgram(D2, [1.0, 2.0], strength=0.1), Absent())
    assert "'bidual[osqp]'" in Unavailable().available()


class Unavailable(type(bd.BACKENDS["osqp"])):
    """OSQP where it is not installed."""

    version = None
    __module__ = "bidual.solvers.backends.osqp_"


@pytest.mark.parametrize("method", ["value", "gradient", "domain", "conjugate", "prox"])
def test_a_loss_without_a_method_is_refused_by_its_name(method):
    kind = type("Lacking", (Pinball,), {method: getattr(bd.Loss, method)})
    with pytest.raises(TypeError, match=rf"Lacking.*{method}"):
        kind(0.5)


@pytest.mark.parametrize("method", ["value", "prox", "conjugate", "scaling"])
def test_a_penalty_without_a_method_is_refused_by_its_name(method):
    kind = type("Lacking", (Half,), {method: getattr(bd.Penalty, method)})
    with pytest.raises(TypeError, match=rf"Lacking.*{method}"):
        kind()


@pytest.mark.parametrize(
    ("method", "backends"),
    [
        ("second", ("newton",)),
        ("epigraph", ("osqp", "clarabel", "scs", "highs", "ecos", "mosek")),
        ("to_cvxpy", ("cvxpy",)),
    ],
)
def test_backends_name_the_optional_method_that_a_loss_lacks(method, backends):
    loss = type("Bare", (Pinball,), {method: getattr(bd.Loss, method)})(0.5)
    program = with_parts(loss, "l1", 1, False)
    for name in backends:
        assert f"does not define {method}()" in bd.BACKENDS[name].accepts(program)
    # without second derivatives there is a backend all the same
    assert bd.solve(program, gap=1e-4).status is bd.Status.CERTIFIED


@pytest.mark.parametrize(("method", "backend"), [("epigraph", "clarabel"), ("to_cvxpy", "cvxpy")])
def test_backends_name_the_optional_method_that_a_penalty_lacks(method, backend):
    penalty = type("Bare", (ElasticNet,), {method: getattr(bd.Penalty, method)})(0.5)
    program = with_parts("squared", penalty, 1, False)
    assert f"does not define {method}()" in bd.BACKENDS[backend].accepts(program)


def test_kernels_refuse_codes_that_they_do_not_know():
    points, steps = np.zeros((2, 1)), np.ones(2)
    for code in (7, -1, 100):
        with pytest.raises(ValueError, match=r"^code: "):
            kernel_prox(code, 0.0, points, points, steps)
    with pytest.raises(ValueError, match=r"^code: "):
        descent.sweep(
            1,  # the hinge loss has a kink
            0.0,
            np.array([0, 1]),
            np.zeros(1, dtype=np.uint32),
            np.ones(2),
            np.ones((1, 1)),
            np.ones(1),
            0.1,
            False,
            np.zeros((1, 1)),
            np.zeros(1),
            np.zeros((1, 1)),
        )


@pytest.mark.parametrize("penalty", ["l1", "group"])
@pytest.mark.parametrize("loss", ["squared", "huber", "squared_hinge", "logistic", "softmax"])
def test_a_backend_of_ones_own_is_certified_as_others_are(loss, penalty):
    program = random_program(loss, True, 2, penalty=penalty)
    solution = bd.solve(program, FISTA(), gap=1e-6)
    assert solution.backend == "fista"
    assert solution.status is bd.Status.CERTIFIED
    expected = bd.solve(program, gap=1e-9).certificate.primal
    assert solution.certificate.primal == pytest.approx(expected, abs=2e-6 * program.reference)
    again = bd.solve(program, FISTA(), warm_start=solution)
    assert again.message == "the warm start meets the asked gap"


def test_a_registered_backend_is_known_by_its_name():
    program = random_program("squared")
    try:
        bd.register(FISTA())
        by_name = bd.solve(program, "fista", gap=1e-6)
        along = bd.path(program, [program.strength, 0.5 * program.strength], "fista", gap=1e-5)
        with pytest.raises(ValueError, match=r"^backend: the name 'fista' is taken"):
            bd.register(FISTA())
    finally:
        bd.BACKENDS.pop("fista", None)
    assert by_name.status is bd.Status.CERTIFIED
    assert [solution.status.name for solution in along] == ["CERTIFIED", "CERTIFIED"]
    with pytest.raises(ValueError, match=r"^backend: expected 'auto', one of .*got 'fista'"):
        bd.solve(program, "fista")


def test_a_path_takes_an_instance_and_refuses_before_it_solves():
    program = random_program("squared")
    solutions = bd.path(program, [program.strength], FISTA(), gap=1e-5)
    assert solutions[0].backend == "fista"
    with pytest.raises(bd.ProgramNotAccepted, match=r"^backend fista: takes smooth losses"):
        bd.path(random_program("hinge"), [0.1], FISTA())


class Nameless(bd.Backend):
    """Sets no name."""

    def accepts(self, program):
        return None

    def solve(self, model, monitor, options):
        return ""


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (FISTA if DOCS.exists() else bd.Backend, "the class FISTA"),
        (["osqp"], r"\['osqp'\]"),
        (None, "None"),
        (3, "3"),
        (bd.L1(), "<penalty l1>"),
        (Nameless(), "expected its attribute name"),
        ("oqsp", "got 'oqsp'"),
    ],
)
def test_what_is_no_backend_is_refused_in_one_line(backend, said):
    program = random_program("squared")
    for call in (bd.solve, lambda program, backend: bd.path(program, [0.1], backend)):
        with pytest.raises(ValueError, match=rf"^backend: .*{said}") as caught:
            call(program, backend)
        assert "\n" not in str(caught.value)
    if not isinstance(backend, str):
        with pytest.raises(ValueError, match=r"^backend: "):
            bd.register(backend)


def test_growing_and_pruning_refuse_a_penalty_that_is_no_norm():
    X, y = (
        np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.2]]),
        np.array([1.0, 2.0, 0.5, 1.5]),
    )
    class_ = bd.Feedforward(hidden=(1,), bias=True, gauge="neuron")
    with pytest.raises(ValueError, match=r"^penalty: expected the norm"):
        bd.grow(class_, X, y, strength=0.1, penalty=ElasticNet(0.5), rounds=2)
    program = with_parts("squared", ElasticNet(0.5), 1, False)
    with pytest.raises(ValueError, match="penalty"):
        bd.solve(program).prune()
