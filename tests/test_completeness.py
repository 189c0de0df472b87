"""Statements about whole classes are proven of complete lists, and refused of all others."""

import ast
import hashlib
import io
import itertools
import json
import re
import resource
import shutil
import subprocess
import sys
import tokenize
import zipfile
from copy import deepcopy
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog

import bidual as bd
from bidual.certificates import checker
from bidual.certificates import completeness as module
from bidual.certificates.complete_statement import completeness, inputs_digest

from covering import examples, slow

SOURCE = Path(module.__file__)
drawn = examples(60)
leaks = st.sampled_from(["0", "1/3", "1/2", "9/10", "1"])
resets = st.sampled_from(["delayed", "immediate"])


def lp_patterns(X):
    """Patterns by one LP each: {X_S h >= 0, X_rest h <= -1} is exact, since h may be scaled."""
    X = np.asarray(X, dtype=float)
    found = []
    for bits in itertools.product((0, 1), repeat=len(X)):
        on = np.array(bits, dtype=bool)
        rows = np.vstack([-X[on], X[~on]])
        bounds = np.concatenate([np.zeros(on.sum()), -np.ones((~on).sum())])
        if linprog(np.zeros(X.shape[1]), rows, bounds, bounds=(None, None)).status == 0:
            found.append(bits)
    return found


def strings(steps):
    """All binary strings of a length, one-hot (2**T, T, 2), and whether their ends differ."""
    bits = np.array(list(itertools.product((0, 1), repeat=steps)))
    return np.stack([1 - bits, bits], axis=-1), np.where(bits[:, 0] != bits[:, -1], 1.0, -1.0)


def over(atoms):
    """A program over a matrix: what it is about is not what these tests are about."""
    target = np.random.default_rng(0).normal(size=atoms.shape[0])
    return bd.ConvexProgram(atoms, target, "squared", 10.0)


def save(path, program, shown):
    """A certificate of W = 0."""
    weights = np.zeros(program.design.shape[1])
    bd.certify(program, weights=weights, exact=True).save(path, shown or False)
    return str(path)


def rows_of(X):
    return [tuple(map(int, row)) for row in X]


# good files are proven


KINDS = {
    "generic": lambda rng, n, d: rng.integers(-99, 100, (n, d)),
    "small": lambda rng, n, d: rng.integers(-2, 3, (n, d)),
    "signs": lambda rng, n, d: rng.choice([-1, 1], (n, d)),
    "bias": lambda rng, n, d: np.c_[rng.integers(-3, 4, (n, d - 1)), np.ones(n, dtype=int)],
    "opposite": lambda rng, n, d: (lambda a: np.vstack([a, -a, 3 * a, 0 * a])[:n])(
        rng.integers(-9, 10, (max(n // 3, 1), d))
    ),
    "rank 2": lambda rng, n, d: rng.integers(-2, 3, (n, 2)) @ rng.integers(-2, 3, (2, d)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_complete_threshold_patterns_are_proven(kind, seed, tmp_path):
    rng = np.random.default_rng(seed)
    X = KINDS[kind](rng, rng.integers(2, 8), rng.integers(2, 5))
    patterns = lp_patterns(X)
    atoms = bd.BinaryMatrix.from_dense(np.array(patterns).T)  # the zero one among them, if any
    program = over(atoms)
    proven = module.check(save(tmp_path / "a.cert", program, completeness(program, X)))
    assert f"all {len(patterns)} patterns" in proven
    # the same without the zero column, which adds nothing, in another order and with repeats
    order = rng.permutation(np.flatnonzero(atoms.column_sums()))
    program = over(atoms.take([*order, order[0]]))
    proven = module.check(save(tmp_path / "b.cert", program, completeness(program, X)))
    assert f"all {len(patterns)} patterns" in proven


@pytest.mark.parametrize("readout", ["last", "every"])
@pytest.mark.parametrize("reset", ["delayed", "immediate"])
@pytest.mark.parametrize("leak", ["1/2", "9/10", "1", "0"])
@pytest.mark.parametrize("steps", [3, 4])
def test_complete_trajectories_are_proven(steps, leak, reset, readout, tmp_path):
    X, _ = strings(steps)
    program = over(bd.complete_lif(X, leak, reset, readout).atoms)
    shown = completeness(program, X, leak, reset, readout)
    proven = module.check(save(tmp_path / "a.cert", program, shown))
    assert f"all {bd.count_lif_trajectories(X, leak, reset)} patterns" in proven


@pytest.mark.parametrize("readout", ["last", "every"])
def test_sequences_of_one_input_and_of_fractions_are_proven(readout, tmp_path):
    rng = np.random.default_rng(0)
    for inputs in (1, 2):
        X = rng.integers(-6, 7, (4, 3, inputs)) * 0.375
        program = over(bd.complete_lif(X, "2/3", readout=readout).atoms)
        shown = completeness(program, X, "2/3", readout=readout)
        proven = module.check(save(tmp_path / "a.cert", program, shown))
        assert f"all {bd.count_lif_trajectories(X, '2/3')} patterns" in proven


@pytest.mark.parametrize("readout", ["last", "every"])
def test_first_last_xor_is_trained_to_a_global_optimum(readout, tmp_path):
    X, y = strings(5)
    atoms = bd.complete_lif(X, "9/10", readout=readout)
    lif = bd.LIF(hidden=(1,), leak=0.9, readout=readout)
    program = lif.program(atoms, y.astype(int), "hinge", strength=1.0)
    program = program.with_strength(0.1 * program.lambda_max)
    solution = bd.solve(program, gap=1e-8)
    certificate = bd.certify(program, solution, exact=True)
    path = tmp_path / "xor.cert"
    certificate.save(path, completeness(program, X, "9/10", readout=readout))
    first, neurons, bound, inputs, listed, *rest = module.check(str(path)).split("\n")
    where = "each" if readout == "every" else "the last"
    assert first == (f"no one-hidden-layer LIF network read at {where} of 5 steps")
    assert neurons == (
        "  with u[t] = 9/10 u[t-1] + x[t].p - 1/1 theta s[t-1], s[t] = 1{u[t] >= theta}, "
        "u = s = 0 at first, p in R^2, theta > 0,"
    )
    dual, gap = re.fullmatch(
        r"  of any width, has an objective below (\S+): none does better than the one in this "
        r"file by more than (\S+)",
        bound,
    ).groups()
    # to the side that weakens the statement, in 12 digits
    assert certificate.dual * (1 - Fraction(1, 10**11)) < Fraction(dual) <= certificate.dual
    assert (
        certificate.absolute_gap
        <= Fraction(gap)
        < certificate.absolute_gap * (1 + Fraction(1, 10**11))
    )
    assert Fraction(gap) <= Fraction(1, 10**8)  # the objective is 1 at W = 0
    # as the format says; strings are whole and have no factor in common
    data = " ".join(map(str, X.ravel().tolist())).encode()
    assert inputs == f"  inputs: integers with SHA-256 {hashlib.sha256(data).hexdigest()}"
    assert inputs.endswith(inputs_digest(X, sequences=True))
    assert (
        listed == "  all 9300 patterns that one neuron can fire are listed, and there are no more"
    )
    assert any("over the complete dictionary of" in line for line in rest)
    if readout == "last":
        assert (lif.network(atoms, solution).predict(X) == y).all()


# its parts, against others


def fire(X, leak, reset, p, theta):
    """Spikes by the recurrence in exact arithmetic: text of bits, the last row first."""
    taken = theta if reset == "delayed" else leak * theta
    spikes = np.zeros(X.shape[:2], dtype=int)
    for i, sample in enumerate(X.tolist()):
        membrane, spike = Fraction(0), 0
        for t, x in enumerate(sample):
            current = sum(a * b for a, b in zip(x, p, strict=True))
            membrane = leak * membrane + current - taken * spike
            spike = int(membrane >= theta)
            spikes[i, t] = spike
    return "".join(map(str, spikes.T.ravel()[::-1]))


@drawn
@given(
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=4).flatmap(
        lambda shape: hnp.arrays(object, shape, elements=st.integers(-(2**70), 2**70))
    ),
    leaks,
    resets,
    st.data(),
)
def test_all_rows_at_once_fire_as_one_by_one(X, leak, reset, data):
    whole = st.integers(-(2 ** data.draw(st.integers(0, 90))), 2**70)
    neuron = [data.draw(whole) for _ in range(X.shape[2])]
    theta = data.draw(st.integers(0, 2**90))
    share = Fraction(leak)
    pair = share.as_integer_ratio()
    samples = [rows_of(sample) for sample in X]
    taken = (1, 1) if reset == "delayed" else pair
    neurons = [(*neuron, theta), (*[0] * len(neuron), 0), (*neuron, 1)]
    found = list(module.fired(samples, pair, taken, neurons, module.Work()))
    assert found == [fire(X, share, reset, p, t) for *p, t in neurons]


@drawn
@given(
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6).flatmap(
        lambda shape: hnp.arrays(np.int64, shape, elements=st.integers(-3, 3))
    )
)
def test_patterns_are_counted_as_they_are_listed(X):
    # with the separators of the file, no more; without them, no fewer
    shown = completeness(over(_patterns(X)), X)
    size = X.shape[1] + 1
    separators = {g[0]: g[1:] for g in module.chunks(shown["separators"], size)}
    assert len(separators) == shown["separated"]
    rows, count = rows_of(X), bd.count_threshold_patterns(X)
    assert module.most_patterns(rows, shown["h0"], separators.get, module.Work()) == count
    nothing = [0] * X.shape[1]
    for left in separators:
        fewer = {flat: g for flat, g in separators.items() if flat != left}
        assert module.most_patterns(rows, shown["h0"], fewer.get, module.Work()) > count
    assert module.most_patterns(rows, nothing, {}.get, module.Work()) >= count


def _patterns(X):
    return bd.threshold_patterns(X).patterns


@pytest.mark.parametrize(
    ("n", "d", "count"),
    [(100, 4, 323_600), pytest.param(60, 5, 978_812, marks=pytest.mark.slow), (20, 8, 188_368)],
)
def test_cells_in_general_position_are_those_of_cover(n, d, count):
    # 30 bits: in general position but for a chance of n**d / 2**30; the count says it is
    X = np.random.default_rng(0).integers(-(2**30), 2**30, (n, d))
    assert module.cells([*map(module.shortest, rows_of(X))], module.Work()) == count


@drawn
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.just(2)).flatmap(
        lambda shape: hnp.arrays(np.int64, shape, elements=st.integers(-3, 3))
    ),
    leaks,
    resets,
)
def test_trajectories_are_counted_as_elsewhere(X, leak, reset):
    pair = Fraction(leak).as_integer_ratio()
    taken = (1, 1) if reset == "delayed" else pair
    trie = module.Trie([rows_of(sample) for sample in X], pair, taken, module.Work())
    assert trie.count() == bd.count_lif_trajectories(X, leak, reset)


@pytest.mark.parametrize(
    ("leak", "count"),
    [
        pytest.param((9, 10), 50632, marks=pytest.mark.slow),
        pytest.param((99, 100), 54962, marks=pytest.mark.slow),
        ((1, 2), 28112),
        ((1, 1), 2415),
    ],
)
def test_binary_strings_of_six_have_the_known_numbers(leak, count):
    X, _ = strings(6)
    trie = module.Trie([rows_of(sample) for sample in X], leak, (1, 1), module.Work())
    assert trie.count() == count


# whatever lacks something is refused

# a flat of three dependent rows on one side, {0, 1, 2}; all of them cancel
MIXED = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [-1, -1, -1], [0, 0, 0], [2, 0, 0]])
CUBE = np.array(list(itertools.product((-1, 1), repeat=3)))
BIASED = np.array([(*bits, 1) for bits in itertools.product((0, 1), repeat=3)])
STRINGS = strings(3)[0]


@cache
def _good(base):
    if base in ("last", "every"):
        program = over(bd.complete_lif(STRINGS, "9/10", readout=base).atoms)
        return program, completeness(program, STRINGS, "9/10", readout=base)
    X = {"mixed": MIXED, "cube": CUBE, "biased": BIASED}[base]
    program = over(_patterns(X).unique()[0])
    return program, completeness(program, X)


def good(base):
    """A program and what shows that it is complete, to be altered."""
    program, shown = _good(base)
    return program, deepcopy(shown)


@pytest.mark.parametrize("base", ["mixed", "cube", "biased", "last", "every"])
def test_what_is_altered_below_is_proven_unaltered(base, tmp_path):
    program, shown = good(base)
    assert f"all {shown['listed']} patterns" in module.check(save(tmp_path / "a", program, shown))
    assert shown.get("separated", 0) == (base == "mixed")
    assert shown["listed"] > program.design.shape[1] - (base == "mixed" or base == "cube")


def test_a_g_may_be_0_on_rows_of_its_flat(tmp_path):
    program, shown = good("mixed")
    shown["separators"] = [7, 1, 0, 0]
    assert f"all {shown['listed']} patterns" in module.check(save(tmp_path / "a", program, shown))


def test_a_line_has_one_row_whose_first_entry_that_is_not_0_is_above_0():
    rows = [(0, -2, 4), (0, 1, -2), (3, 0, -6), (-1, 5, 5)]
    assert [module.line(module.shortest(row)) for row in rows] == [
        (0, 1, -2), (0, 1, -2), (1, 0, -2), (1, -5, -5)
    ]  # fmt: skip
    assert module.shortest((0, 0, 0)) == (0, 0, 0)


def size(shown):
    """Entries of a witness."""
    return shown["inputs"] + (shown["class"] == "lif")


def left_out(j):
    """Take a pattern's witness out."""

    def alter(shown):
        each = size(shown)
        del shown["witnesses"][each * j : each * (j + 1)]
        shown["listed"] -= 1

    return alter


def put(key, value, at=None):
    """Put a value in a field, or in an entry of it."""

    def alter(shown):
        if at is None:
            shown[key] = value
        else:
            shown[key][at] = value

    return alter


def twice(j, i):
    """Take for witness j twice witness i."""

    def alter(shown):
        each = size(shown)
        one = shown["witnesses"][each * i : each * (i + 1)]
        shown["witnesses"][each * j : each * (j + 1)] = [2 * x for x in one]

    return alter


def one_more(*witness):
    """Append a witness."""

    def alter(shown):
        shown["witnesses"] += witness
        shown["listed"] += 1

    return alter


def drop(key):
    return lambda shown: shown.pop(key)


def separators(*values):
    """Flats and their g, one after the other."""

    def alter(shown):
        shown["separators"] = list(values)
        shown["separated"] = len(values) // (shown["inputs"] + 1)

    return alter


ALTERED = {
    # lists that lack something, or say it twice
    "a pattern without witness": ("biased", left_out(17), "^no witness fires one of the columns$"),
    "a trajectory without witness": ("every", left_out(5), "^no witness fires one of the columns$"),
    "a trajectory that ends as others": ("last", left_out(5), "^242 patterns are listed, 243 "),
    "two witnesses for one pattern": (
        "biased",
        twice(9, 4),
        "^witness 9 fires the pattern of an earlier",
    ),
    "two for one trajectory": ("last", twice(9, 4), "^witness 9 fires the pattern of an earlier"),
    "a witness too many": (
        "cube",
        one_more(5, 3, 1),
        "^witness 51 fires the pattern of an earlier",
    ),
    # entries
    "an input": ("biased", put("data", 0, 3), "^witness .* fires (the|a) pattern "),
    "an input of a sequence": ("last", put("data", 2, 4), "^witness .* fires (the|a) pattern "),
    "a larger leak": ("every", put("leak", [99, 100]), "^witness .* fires (the|a) pattern "),
    "a smaller leak": ("last", put("leak", [1, 2]), "^witness .* fires (the|a) pattern "),
    "another reset": ("every", put("immediate_reset", True), "^witness .* fires (the|a) pattern "),
    "h0 on the wrong side": ("biased", put("h0", [0, 0, 0, -1]), "^h0: x.h0 is below 0 for a row"),
    "h0 with one row below": ("biased", put("h0", [2, 0, 0, -1]), "^h0: x.h0 is below 0 for a row"),
    "h0 that is 0 on rows": ("biased", put("h0", [0, 0, 0, 0]), "^104 patterns are listed, "),
    "h0 that excludes too much": ("cube", put("h0", [1, 0, 0]), "^h0: x.h0 is below 0 for a row"),
    "a flat not excluded": ("mixed", separators(), "^.* patterns are listed, .* are counted$"),
    "another flat excluded": ("mixed", separators(3, 1, 1, 0), "^.* listed, .* are counted$"),
    "a g of 0": ("mixed", separators(7, 0, 0, 0), "^separators: false for flat 7$"),
    "a g that is 0 on the flat": (
        "mixed",
        separators(7, 0, 0, 1),
        "^separators: false for flat 7$",
    ),
    "a g of both signs": ("mixed", separators(7, 2, -1, 0), "^separators: false for flat 7$"),
    "a cyclic flat excluded": (
        "mixed",
        separators(7, 1, 1, 0, 31, 1, 1, 0),
        "^separators: false f",
    ),
    "a threshold of 0": ("last", put("witnesses", 0, 2), "^witnesses: a threshold is not above 0$"),
    "every step for the last": (
        "last",
        put("every_step", True),
        "^every_step: 8 rows are not of 3 s",
    ),
    "the last step for all": (
        "every",
        put("every_step", False),
        "^completeness.data: 48 entries, ",
    ),
    # form
    "no class": ("biased", drop("class"), "^completeness: class is missing$"),
    "another class": ("biased", put("class", "relu"), "^class: none of "),
    "a class of another type": ("biased", put("class", ["lif"]), "^class: not of type str$"),
    "the other class": ("biased", put("class", "lif"), "^inputs: 4 is out of range$"),
    "another version": ("last", put("version", 2), "^version: this checker reads 1$"),
    "no version": ("last", drop("version"), "^completeness: version is missing$"),
    "an unknown field": ("mixed", put("note", 1), r"^completeness: unknown fields \['note'\]$"),
    "a lacking field": ("mixed", drop("h0"), "^completeness: h0 is missing$"),
    "a wrong number of patterns": (
        "mixed",
        put("listed", 5),
        "^completeness.witnesses: .* not 15$",
    ),
    "fewer than no patterns": ("mixed", put("listed", -1), "^listed: -1 is out of range$"),
    "more than can be": ("mixed", put("listed", 2**60), "^listed: .* is out of range$"),
    "no inputs": ("mixed", put("inputs", 0), "^inputs: 0 is out of range$"),
    "too many inputs": ("mixed", put("inputs", 17), "^inputs: 17 is out of range$"),
    "three inputs a step": ("last", put("inputs", 3), "^inputs: 3 is out of range$"),
    "no steps": ("last", put("steps", 0), "^steps: 0 is out of range$"),
    "too many steps": ("last", put("steps", 17), "^steps: 17 is out of range$"),
    "a leak above 1": ("last", put("leak", [11, 10]), "^leak: not a fraction from 0 to 1$"),
    "a leak below 0": ("last", put("leak", [-1, 10]), "^leak: not a fraction from 0 to 1$"),
    "a leak over 0": ("last", put("leak", [0, 0]), "^leak: not a fraction from 0 to 1$"),
    "a leak of two negatives": (
        "last",
        put("leak", [-9, -10]),
        "^leak: not a fraction from 0 to 1$",
    ),
    "a leak of many digits": ("last", put("leak", [1, 2**64]), "^completeness.leak: .* 64 bits$"),
    "a leak of three": ("last", put("leak", [1, 2, 3]), "^completeness.leak: 3 entries, not 2$"),
    "a reset in words": (
        "last",
        put("immediate_reset", "no"),
        "^immediate_reset: not of type bool$",
    ),
    "a readout as a number": ("last", put("every_step", 0), "^every_step: not of type bool$"),
    "a bool in the data": (
        "mixed",
        put("data", True, 0),
        "^completeness.data: an entry is not an ",
    ),
    "a list in the data": ("mixed", put("data", [1], 0), "^completeness.data: an entry is not an "),
    "a large input": ("mixed", put("data", 2**1024, 0), "^completeness.data: an entry is not an "),
    "a large witness": (
        "mixed",
        put("witnesses", 2**1024, 0),
        "^completeness.witnesses: an entry ",
    ),
    "data that is no list": ("last", put("data", {}), "^data: not of type list$"),
    "too few separators": (
        "mixed",
        put("separated", 2),
        "^completeness.separators: 4 entries, not 8",
    ),
}


@pytest.mark.parametrize("name", ALTERED)
def test_what_proves_nothing_is_refused(name, tmp_path):
    base, alter, words = ALTERED[name]
    program, shown = good(base)
    alter(shown)
    path = save(tmp_path / "a.cert", program, shown)
    checker.check(path)  # the bounds over its columns hold nevertheless
    with pytest.raises(checker.Refused, match=words):
        module.check(path)


@pytest.mark.parametrize("base", ["mixed", "cube", "biased", "last", "every"])
def test_columns_have_to_be_those_fired(base, tmp_path):
    program, shown = good(base)
    P = program.design.shape[1]
    flipped = program.design.to_dense(np.uint8)
    taken = {tuple(column) for column in flipped.T}
    # another row of some column that makes a column of no neuron
    i, j = next(
        (i, j)
        for j in range(P)
        for i in range(len(flipped))
        if tuple(np.where(np.arange(len(flipped)) == i, 1 - flipped[:, j], flipped[:, j]))
        not in taken
        and flipped[:, j].sum() > 1
    )
    extra = flipped[:, [j]].copy()
    extra[i] ^= 1
    for atoms, words in (
        (flipped[:, 1:], "^witness .* fires a pattern that the columns lack$"),
        (np.delete(flipped, P // 2, 1), "^witness .* fires a pattern that the columns lack$"),
        (np.c_[flipped, extra], "^no witness fires one of the columns$"),
    ):
        path = save(tmp_path / "a.cert", over(bd.BinaryMatrix.from_dense(atoms)), shown)
        with pytest.raises(checker.Refused, match=words):
            module.check(path)


@pytest.mark.parametrize("base", ["mixed", "cube", "biased", "every"])
def test_no_pattern_can_be_left_out_of_list_and_columns(base, tmp_path):
    program, shown = good(base)
    listed, each = shown["listed"], size(shown)
    columns = [column.tobytes() for column in program.design.to_dense(np.uint8).T]
    for j in range(0, listed, 7):
        _, fewer = good(base)
        witness = np.array(shown["witnesses"][each * j : each * (j + 1)])
        left_out(j)(fewer)
        fired = fired_by(shown, witness)
        kept = [k for k, column in enumerate(columns) if column != fired.tobytes()]
        path = save(tmp_path / "a.cert", over(program.design.take(kept)), fewer)
        with pytest.raises(
            checker.Refused, match=f"^{listed - 1} patterns are listed, {listed} are"
        ):
            module.check(path)


def fired_by(shown, witness):
    """What a witness of a threshold unit, or of a LIF neuron on STRINGS, fires; (N,) of uint8."""
    if shown["class"] == "threshold":
        return (np.array(shown["data"]).reshape(-1, shown["inputs"]) @ witness >= 0).astype(
            np.uint8
        )
    text = fire(STRINGS, Fraction(9, 10), "delayed", witness[:-1].tolist(), int(witness[-1]))
    return np.array(list(text[::-1])).astype(np.uint8)


def test_patterns_of_other_inputs_do_not_pass(tmp_path):
    _, shown = good("cube")
    program = over(_patterns(2 * BIASED[:, :3] - 1 + [0, 0, 1]).unique()[0])
    with pytest.raises(
        checker.Refused, match=r"^witness \d+ fires a pattern that the columns lack$"
    ):
        module.check(save(tmp_path / "a.cert", program, shown))


def test_a_certificate_that_claims_nothing_global_is_refused(tmp_path):
    program, _ = good("cube")
    with pytest.raises(
        checker.Refused, match=r"^no completeness.json: the file is about its columns only$"
    ):
        module.check(save(tmp_path / "a.cert", program, None))


def test_bounds_have_to_hold_first(tmp_path):
    path = Path(save(tmp_path / "a.cert", *good("cube")))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    statement = json.loads(parts["statement.json"])
    statement["bounds"]["dual"] += 1
    parts["statement.json"] = json.dumps(statement)
    with pytest.raises(checker.Refused, match=r"^dual: the file claims "):
        module.check(write(path, parts))


def write(path, parts):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return str(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "^completeness: not an object$"),
        ("{", r"^completeness.json: not JSON"),
        ("[" * 10_000, r"^completeness.json: not JSON"),
        ("[" * 100_000, r"^checking takes more than 20000000 steps$"),
        ("[" + "0," * 2_500_001, r"^checking takes more than 20000000 steps$"),
        (" " * (module.MOST_BYTES + 1), r"^completeness.json: too large$"),
        ('{"version":1,"version":1}', "^a JSON object has a key twice$"),
        ('{"version":1.0}', "^1.0 is not an integer$"),
        ('{"version":NaN}', "^NaN is not an integer$"),
        ('{"version":' + "9" * 5000 + "}", "^an integer has too many digits$"),
        ('{"version":true}', "^version: not of type int$"),
    ],
)
def test_what_is_no_json_of_integers_is_refused(text, words, tmp_path):
    path = Path(save(tmp_path / "a.cert", *good("cube")))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[checker.EXTRA_NAME] = text
    with pytest.raises(checker.Refused, match=words):
        module.check(write(path, parts))


def hostile_threshold(n, inputs, **changes):
    """Every unit vector and what follows: some small statement of many rows."""
    rng = np.random.default_rng(0)
    data = rng.integers(-9, 10, n * inputs).tolist()
    return {
        "version": 1, "class": "threshold", "inputs": inputs, "listed": 0, "data": data,
        "h0": [0] * inputs, "witnesses": [], "separated": 0, "separators": [],
    } | changes  # fmt: skip


def hostile_lif(n, steps, **changes):
    rng = np.random.default_rng(0)
    data = rng.integers(-9, 10, n * steps * 2).tolist()
    return {
        "version": 1, "class": "lif", "inputs": 2, "steps": steps, "leak": [1, 2**64 - 1],
        "immediate_reset": True, "every_step": False, "listed": 0, "data": data, "witnesses": [],
    } | changes  # fmt: skip


# what is without end
HOSTILE = {
    "cells": hostile_threshold(200, 10),
    "flats": hostile_threshold(1000, 4),
    "histories": hostile_lif(4, 16),
    "nodes": hostile_lif(1000, 8),
    "same lines": hostile_lif(4, 16, leak=[1, 1], data=[1, *[0] * 30, 1] * 4),
    "long witnesses": hostile_lif(600, 16, witnesses=[2**1023] * 1500, listed=500),
    # a few long numbers among short ones widen all fields
    "wide fields": hostile_threshold(
        2000, 16, listed=1, witnesses=[2**1023] * 16, data=[2**1023] + [0] * 31999
    ),
    "long entries": hostile_threshold(
        66, 16, data=[pow(3, 700 + k, 2**1023) for k in range(66 * 16)]
    ),
    "entries": hostile_threshold(10_000, 16, data=[0] * 160_000),
}


def hostile(name, folder):
    """A file with a single column, which is zero."""
    shown = HOSTILE[name]
    n = len(shown["data"]) // (shown["inputs"] * shown.get("steps", 1))
    atoms = bd.BinaryMatrix.from_dense(np.zeros((n, 1), dtype=np.uint8))
    return save(folder / "a.cert", over(atoms), shown)


@pytest.mark.parametrize("name", HOSTILE)
def test_work_without_end_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_WORK", 30_000)
    path = hostile(name, tmp_path)
    with pytest.raises(checker.Refused, match=r"^checking takes more than 30000 steps$"):
        module.check(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_refused_takes_little_memory_and_time(name, tmp_path):
    path = hostile(name, tmp_path)
    # a twentieth of the work; it takes 1 to 4 s
    done = run(path, folder=tmp_path, memory=2**28, work="1_000_000")
    assert done.stdout == f"REFUSED {path}: checking takes more than 1000000 steps\n", done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("name", ["long witnesses", "wide fields", *slow("long entries")])
def test_files_of_long_integers_end_within_the_bounds_promised(name, tmp_path):
    path = hostile(name, tmp_path)
    done = run(path, folder=tmp_path, memory=2**30, seconds=60)
    assert done.stdout.startswith(f"REFUSED {path}: "), done.stderr


@examples(30)
@given(st.lists(st.integers(1, 9), min_size=4, max_size=4), st.integers(-9, 9))
def test_inputs_up_to_what_moves_no_sign_have_one_digest(factors, x):
    X = np.array([[x, 1], [2, 3], [-4, 6], [0, 0]])
    expected = hashlib.sha256(" ".join(map(str, [x, 1, 2, 3, -2, 3, 0, 0])).encode()).hexdigest()
    assert inputs_digest(np.array(factors)[:, None] * X / 8) == expected
    X = X.reshape(2, 2, 2)
    assert inputs_digest(factors[0] * X / 8, sequences=True) == inputs_digest(X, sequences=True)
    assert inputs_digest(X, sequences=True) != inputs_digest(X + 1, sequences=True)


def test_names_of_files_are_printed_in_one_line_of_ascii(tmp_path):
    path = str(tmp_path / "\x1b[2J\nPROVEN \udcff.cert")
    done = run(path, folder=tmp_path)
    name = str(tmp_path) + "/\\x1b[2J\\nPROVEN \\udcff.cert"
    assert done.stdout.isascii()
    assert done.stdout.startswith(f"REFUSED {name}: not a readable certificate: ")
    assert done.stdout.count("\n") == 1
    assert (done.returncode, done.stderr) == (1, "")


# as a script


def run(*arguments, folder, memory=2**30, seconds=20, work="20_000_000"):
    """Run the script alone, in a folder with checker.py and nothing else, within limits."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    alone = folder / "alone"
    alone.mkdir()
    shutil.copy(SOURCE.with_name("checker.py"), alone)
    source = SOURCE.read_text()
    assert "MOST_WORK = 20_000_000 " in source
    (alone / "completeness.py").write_text(source.replace("20_000_000", work, 1))
    command = [sys.executable, "-I", "completeness.py", *arguments]
    return subprocess.run(command, cwd=alone, capture_output=True, text=True, preexec_fn=limit)


def test_the_script_runs_beside_its_sibling_alone(tmp_path):
    program, shown = good("last")
    proven = save(tmp_path / "good.cert", program, shown)
    done = run(proven, folder=tmp_path)
    assert done.stdout == f"PROVEN {proven}: {module.check(proven)}\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_tells_which_file_is_refused_and_why(tmp_path):
    program, shown = good("cube")
    proven = save(tmp_path / "good.cert", program, shown)
    shown["h0"][0] = 1
    refused = save(tmp_path / "bad.cert", program, shown)
    missing = str(tmp_path / "missing.cert")
    done = run(refused, proven, missing, folder=tmp_path)
    assert f"REFUSED {refused}: h0: x.h0 is below 0 for a row of the inputs\n" in done.stdout
    assert f"PROVEN {proven}: no two-layer threshold network\n" in done.stdout
    assert f"REFUSED {missing}: not a readable certificate: " in done.stdout
    assert (done.returncode, done.stderr) == (1, "")


def test_the_script_without_files_tells_how_to_use_it(tmp_path):
    done = run(folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: python completeness.py FILE...\n"
    assert module.main([]) == 2


def test_the_checker_imports_little_and_can_be_read_in_one_sitting():
    source = SOURCE.read_text()
    tree = ast.parse(source)
    imported = {
        node.module and node.module.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    imported |= {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    # ``from . import checker`` has no module name
    assert imported - {None, "checker"} <= set(sys.stdlib_module_names)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    texts = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented)]
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kinds = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if token.type not in (*kinds, tokenize.ENDMARKER):
            lines |= set(range(token.start[0], token.end[0] + 1))
    for text in texts:
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            lines -= set(range(text.lineno, text.end_lineno + 1))
    assert len(lines) <= 250


# making it


def test_statements_are_made_for_the_program_of_the_inputs_alone():
    program, _ = good("biased")
    with pytest.raises(
        ValueError, match=r"^program: expected the \d+ patterns of X .* with \d+ of them$"
    ):
        completeness(program, BIASED[:, :3])
    with pytest.raises(
        ValueError, match=r"^program: expected the \d+ patterns of X .* with \d+ of them$"
    ):
        completeness(program, BIASED[:7])
    program, _ = good("last")
    for leak, reset, readout in (
        ("1/2", "delayed", "last"), ("9/10", "immediate", "last"), ("9/10", "delayed", "every"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"^program: expected the \d+ patterns of X "):
            completeness(program, STRINGS, leak, reset, readout)
    with pytest.raises(ValueError, match=r"^readout: expected 'last' or 'every', got 'lats'$"):
        completeness(program, STRINGS, "9/10", readout="lats")
    with pytest.raises(
        ValueError, match=r"^X: expected at most 2 inputs and 16 steps, .* got 3 and 2"
    ):
        completeness(program, np.ones((2, 2, 3)), "9/10")
    with pytest.raises(
        ValueError, match=r"^X: expected at most 2 inputs and 16 steps, .* got 1 and 17"
    ):
        completeness(program, np.ones((2, 17, 1)), "9/10")
    with pytest.raises(bd.BudgetExceeded, match="exceeds the budget of patterns 10"):
        completeness(program, STRINGS, "9/10", budget=bd.Budget(patterns=10))


def test_inputs_that_cannot_be_checked_are_refused(monkeypatch):
    X = [[2**1024, 1], [1, 0]]
    program = over(_patterns(X))
    with pytest.raises(
        ValueError, match=r"^X: expected at most 16 inputs and 1024 bits, got 2 and "
    ):
        completeness(program, X)
    program, _ = good("cube")
    monkeypatch.setattr(module, "MOST_WORK", 10)
    with pytest.raises(
        ValueError, match=r"^X: expected inputs that the checker can count: checking takes "
    ):
        completeness(program, CUBE)


def test_a_dictionary_of_either_kind_is_shown_complete(tmp_path):
    X = np.random.default_rng(0).normal(size=(6, 3)).round(3)
    program = over(bd.complete_thresholds(X).atoms)
    rounded = np.rint(X * 2**20) / 2**20  # as the dictionary's are
    proven = module.check(save(tmp_path / "a.cert", program, completeness(program, rounded)))
    assert f"all {bd.count_threshold_patterns(rounded)} patterns" in proven
