"""Labels become -1 and +1, one against the rest; numbers stay as they are; the rest is refused."""

from collections import UserList, deque
from datetime import date
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.formulations.targets import encode

from covering import examples

SQUARED = bd.LOSSES["squared"]
LABEL_LOSSES = [loss for loss in bd.LOSSES.values() if loss.labels]

each_loss = pytest.mark.parametrize("loss", bd.LOSSES.values(), ids=bd.LOSSES)
each_split_loss = pytest.mark.parametrize(
    "loss", [loss for loss in bd.LOSSES.values() if loss.separable], ids=lambda loss: loss.name
)
each_label_loss = pytest.mark.parametrize("loss", LABEL_LOSSES, ids=lambda loss: loss.name)

TWO = {
    "integers": ([3, 7, 7, 3], [3, 7]),
    "zero and one": ([0, 1, 1, 0], [0, 1]),
    "minus and plus one": ([-1, 1, 1, -1], [-1, 1]),
    "small unsigned integers": (np.array([0, 255, 255, 0], np.uint8), [0, 255]),
    "booleans": ([False, True, True, False], [False, True]),
    "strings": (["cat", "dog", "dog", "cat"], ["cat", "dog"]),
    "bytes": ([b"cat", b"dog", b"dog", b"cat"], [b"cat", b"dog"]),
}


@each_split_loss
@pytest.mark.parametrize(("labels", "classes"), TWO.values(), ids=TWO)
def test_two_classes_make_one_output_with_plus_one_for_the_larger(loss, labels, classes):
    targets, found = encode(labels, 4, loss)
    assert targets.dtype == np.float64
    assert targets.tolist() == [[-1.0], [1.0], [1.0], [-1.0]]
    assert found.tolist() == classes


@each_split_loss
@pytest.mark.parametrize("labels", [[2, 0, 1, 2], ["c", "a", "b", "c"]])
def test_many_classes_are_coded_one_against_the_rest(loss, labels):
    targets, classes = encode(labels, 4, loss)
    assert classes.tolist() == sorted(set(labels))
    assert targets.tolist() == [
        [-1.0, -1.0, 1.0],
        [1.0, -1.0, -1.0],
        [-1.0, 1.0, -1.0],
        [-1.0, -1.0, 1.0],
    ]


@pytest.mark.parametrize("labels", [[2, 0, 1, 2], ["c", "a", "b", "c"], [1, 0, 0, 1]])
def test_softmax_takes_a_column_a_class(labels):
    targets, classes = encode(labels, 4, bd.LOSSES["softmax"])
    assert classes.tolist() == sorted(set(labels))
    assert targets.tolist() == [[float(label == each) for each in classes] for label in labels]


@examples(100)
@given(labels=st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=12))
def test_every_row_is_on_the_side_of_its_own_class(labels):
    known = sorted(set(labels))
    if len(known) < 2:
        with pytest.raises(ValueError, match=r"^y: .*two classes"):
            encode(labels, len(labels), SQUARED)
        return
    targets, classes = encode(labels, len(labels), SQUARED)
    assert classes.tolist() == known
    assert set(targets.ravel().tolist()) == {-1.0, 1.0}
    if len(known) == 2:
        decoded = [known[int(t > 0)] for t in targets[:, 0]]
    else:
        assert (targets == 1.0).sum(axis=1).tolist() == [1] * len(labels)
        decoded = [known[c] for c in targets.argmax(axis=1)]
    assert decoded == labels


@each_label_loss
def test_labels_0_1_2_never_reach_a_label_loss_as_numbers(loss):
    # read as numbers, label 0 gives the hinge loss 1 whatever the fit: the class is never learnt
    for integer in (np.int64, np.int8, np.uint8):
        targets, _ = encode(np.array([0, 1, 2, 1], integer), 4, loss)
        assert targets.shape == (4, 3)
        assert set(targets.ravel().tolist()) == {-1.0, 1.0}
    for raw in (
        np.array([0.0, 1.0, 2.0, 1.0]),
        np.array([0.0, 1.0, 2.0, 1.0], np.float32),
        np.array([[0.0], [1.0], [2.0], [1.0]]),
        np.array([[0, 1], [1, 0], [2, 1], [1, 2]]),
    ):
        with pytest.raises(ValueError, match=rf"^y: the {loss.name} loss takes targets -1"):
            encode(raw, 4, loss)


@each_label_loss
@pytest.mark.parametrize(
    "numbers", [[0.0, 1.0, 1.0], [[0.0], [1.0], [1.0]], [[0, 1], [1, 1], [1, 0]], [[False] * 2] * 3]
)
def test_zero_and_one_as_numbers_are_refused_by_label_losses(loss, numbers):
    with pytest.raises(ValueError, match=rf"^y: the {loss.name} loss takes targets -1"):
        encode(numbers, 3, loss)


@each_label_loss
def test_minus_and_plus_one_as_numbers_stand_as_they_are(loss):
    targets, classes = encode([1.0, -1.0, 1.0], 3, loss)
    assert targets.tolist() == [[1.0], [-1.0], [1.0]]
    assert classes is None
    targets, classes = encode([[1, -1], [-1, -1], [1, -1]], 3, loss)
    assert targets.tolist() == [[1.0, -1.0], [-1.0, -1.0], [1.0, -1.0]]
    assert classes is None


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_floats_stand_as_they_are(kind):
    numbers = np.array([0.5, -2.0, 0.0, 1.0], kind)
    targets, classes = encode(numbers, 4, SQUARED)
    assert targets.dtype == np.float64
    assert targets.tolist() == [[0.5], [-2.0], [0.0], [1.0]]
    assert classes is None
    constant, _ = encode(np.ones(4, kind), 4, SQUARED)
    assert constant.tolist() == [[1.0]] * 4


@pytest.mark.parametrize("kind", [np.float64, np.int64, np.uint8, np.bool_])
def test_two_dimensions_stand_as_they_are(kind):
    numbers = np.array([[0, 1, 1], [1, 1, 0]], kind)
    targets, classes = encode(numbers, 2, SQUARED)
    assert targets.dtype == np.float64
    assert targets.tolist() == [[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]]
    assert classes is None


@each_loss
@pytest.mark.parametrize("labels", [[4, 4, 4], [True, True, True], ["a", "a", "a"]])
def test_a_single_class_of_labels_is_refused(loss, labels):
    with pytest.raises(ValueError, match=r"^y: expected at least two classes") as caught:
        encode(labels, 3, loss)
    assert str(labels[:1]) in str(caught.value)


@each_label_loss
@pytest.mark.parametrize("number", [-1.0, 1.0])
def test_a_single_class_of_numbers_is_refused_by_label_losses(loss, number):
    with pytest.raises(ValueError, match=rf"^y: expected at least two classes.*{number}"):
        encode([number] * 3, 3, loss)


@pytest.mark.parametrize(
    "y",
    [
        [1.0, 2.0],
        [1, 2, 3, 4],
        [[1.0, 2.0, 3.0]],
        np.zeros((3, 2, 2)),
        np.float64(1.0),
        [],
    ],
    ids=["too short", "too long", "transposed", "three dimensions", "a number", "empty"],
)
def test_another_shape_is_refused(y):
    with pytest.raises(ValueError, match=r"^y: expected shape \(3,\) or \(3, C\)"):
        encode(y, 3, SQUARED)


def test_targets_without_outputs_are_refused():
    with pytest.raises(ValueError, match=r"^y: "):
        encode(np.zeros((3, 0)), 3, SQUARED)


@pytest.mark.parametrize(
    ("y", "found"),
    [
        (np.array(["a", None, "b"], dtype=object), "None .NoneType."),
        (np.array(["a", np.nan, "b"], dtype=object), "a missing one .nan."),
        (np.array([b"a", "a", "b"], dtype=object), "bytes and strings"),
        (["a", 1, 2], "strings and whole numbers"),
        ([True, 2, 1], "bools and whole numbers"),
        (deque([np.True_, 0, 5]), "bools and whole numbers"),
        (["1", True, "0"], "bools and strings"),
        ([b"1", 1.0, 0.5], "bytes and floats"),
        ([("a", 1), ("b", 2), ("c", 3)], "strings and whole numbers"),
        (np.array([Fraction(1, 2), 1, 2], dtype=object), "Fraction"),
        (np.array([1 + 1j, 2, 3]), "complex128"),
        (np.array([1 + 1j, 2, 3], dtype=object), "a complex number, .1.1j. .complex."),
        (np.array(["2026-01-01"] * 3, dtype="datetime64[D]"), "dates .datetime64.D.."),
        ([date(2026, 1, day) for day in (1, 2, 3)], "a date, datetime.date"),
        (np.array([1, 2, 3], "m8[s]"), "differences of dates .timedelta64.s.."),
        (np.ma.array([0, 1, 1], mask=[False, False, True]), "1 masked entries"),
        (np.array([(1, 2.0)] * 3, dtype="i4,f8"), "other entries"),
        (np.array(["a", None, "b"], dtype=np.dtypes.StringDType(na_object=None)), "missing"),
    ],
    ids=str,
)
@pytest.mark.parametrize("loss", [bd.LOSSES["hinge"], SQUARED], ids=["hinge", "squared"])
def test_labels_of_several_kinds_or_of_another_are_refused(y, found, loss):
    with pytest.raises(ValueError, match=rf"^y: expected .*got .*{found}"):
        encode(y, 3, loss)


@pytest.mark.parametrize(
    "y",
    [
        [["a", "b"], ["b", "a"]],
        [["a"], ["b"]],
        [[b"a"], [b"b"]],
        [[0], [1]],
        [[True], [False]],
        np.array([[3], [7]], dtype=object),
        np.array([["a"], ["b"]], dtype=np.dtypes.StringDType()),
    ],
    ids=str,
)
@each_loss
def test_labels_of_two_dimensions_are_refused(loss, y):
    with pytest.raises(
        ValueError, match=r"^y: expected shape \(2,\) for labels.* use y\[:, 0\] .*iloc"
    ):
        encode(y, 2, loss)


KINDS = {
    "whole numbers": [7, -2, 7, 30],
    "large whole numbers": [2**63, 5, 2**63, 2**64 - 1],
    "larger whole numbers": [2**70, 5, 2**70, -(2**80)],
    "bools": [True, False, True, True],
    "strings": ["yes", "no", "yes", "a rather long one"],
    "bytes": [b"yes", b"no", b"yes", b"\xff\x00\xe9"],
}


@pytest.mark.parametrize("labels", KINDS.values(), ids=KINDS)
def test_objects_of_one_kind_are_labels_of_this_kind(labels):
    y = np.empty(4, dtype=object)
    y[:] = labels
    for loss in (bd.LOSSES["hinge"], bd.LOSSES["softmax"]):
        targets, classes = encode(y, 4, loss)
        assert classes.tolist() == sorted(set(labels))
        found = targets.argmax(axis=1) if targets.shape[1] > 1 else (targets[:, 0] > 0).astype(int)
        assert [classes.tolist()[k] for k in found] == labels
        if labels[0] not in (2**63, 2**70):  # NumPy would make floats of a list of these
            plain, same = encode(np.array(labels), 4, loss)
            assert np.array_equal(plain, targets)
            assert same.tolist() == classes.tolist()


@pytest.mark.parametrize("held", [list, tuple, deque, UserList], ids=lambda held: held.__name__)
@pytest.mark.parametrize(
    "labels",
    [
        [2**63, -1, 2**63 + 1, -1],
        [np.uint64(2**63), np.int64(-1), np.uint64(2**63 + 1), np.int64(-1)],
        [2**53, 2**53 + 1, np.uint64(2**63 + 2**10), -7],
        [np.int8(-3), np.uint64(2**64 - 1), 2**70, np.int8(-3)],
    ],
    ids=["Python", "NumPy", "beyond floats", "mixed sizes"],
)
def test_whole_numbers_in_sequences_are_not_rounded(labels, held):
    known = sorted({int(label) for label in labels})
    targets, classes = encode(held(labels), 4, bd.LOSSES["softmax"])
    assert [int(label) for label in classes] == known
    assert [known[k] for k in targets.argmax(axis=1)] == [int(label) for label in labels]


@pytest.mark.parametrize("label", ["a\0", b"a\0"])
def test_labels_that_differ_in_a_zero_at_the_end_are_not_merged(label):
    y = np.empty(3, dtype=object)
    y[:] = [label, label[:1], label]
    with pytest.raises(ValueError, match=r"^y: expected labels without zero characters"):
        encode(y, 3, SQUARED)


def test_objects_that_are_floats_are_numbers():
    targets, classes = encode(np.array([1.5, 2, True], dtype=object), 3, SQUARED)
    assert classes is None
    assert targets.tolist() == [[1.5], [2.0], [1.0]]


@pytest.mark.parametrize(
    "make",
    [
        lambda pandas, labels: pandas.Series(labels),
        lambda pandas, labels: pandas.Series(labels, dtype=object),
        lambda pandas, labels: pandas.Categorical(labels),
        lambda pandas, labels: pandas.Series(labels, dtype="category"),
        lambda pandas, labels: pandas.Index(labels),
        lambda pandas, labels: pandas.array(labels),
        lambda pandas, labels: pandas.DataFrame({"y": labels})["y"],
    ],
)
@pytest.mark.parametrize("labels", [["b", "a", "b"], [3, 1, 3], [True, False, True]], ids=str)
def test_columns_of_pandas_are_the_labels_that_they_hold(make, labels):
    pandas = pytest.importorskip("pandas")
    targets, classes = encode(make(pandas, labels), 3, SQUARED)
    assert classes.tolist() == sorted(set(labels))
    assert targets.ravel().tolist() == [1.0, -1.0, 1.0]
    with pytest.raises(ValueError, match=r"^y: "):
        encode(pandas.Series([labels[0], None, labels[1]], dtype=object), 3, SQUARED)


@each_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(loss, bad):
    for y in ([1.0, bad, -1.0], [[1.0], [bad], [-1.0]]):
        with pytest.raises(ValueError, match=r"^y: .*finite"):
            encode(y, 3, loss)


def test_targets_do_not_share_memory_with_the_argument():
    numbers = np.array([[1.0, 2.0], [3.0, 4.0]])
    targets, _ = encode(numbers, 2, SQUARED)
    numbers[:] = 0.0
    assert targets.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_strings_kept_as_objects_are_labels():
    # as pandas keeps them
    y = np.array(["cat", "dog", "cat"], dtype=object)
    targets, classes = encode(y, 3, SQUARED)
    assert targets.tolist() == [[-1.0], [1.0], [-1.0]]
    assert classes.tolist() == ["cat", "dog"]
