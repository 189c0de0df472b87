"""Every task gives sequences and labels with fixed, disjoint splits; digits are the real ones."""

import hashlib

import numpy as np
import pytest
from sklearn.datasets import load_digits

import bidual as bd
from bidual.dictionaries import check_sequences

# task: steps, inputs, classes, and sequences in all, train and test. A new task joins here.
TASKS = {
    "digits": (8, 8, 10, {"all": 1797, "train": 1437, "test": 360}),
}
SPLITS = ("all", "train", "test")
on_every_task = pytest.mark.parametrize("name", TASKS)


def pairs(X, y):
    """Sequences with their labels as sorted byte strings: a multiset to compare."""
    return sorted(x.tobytes() + label.tobytes() for x, label in zip(X, y, strict=True))


def test_every_registered_task_is_held_to_the_table():
    assert set(TASKS) == set(bd.tasks.TASKS)
    for name, task in bd.tasks.TASKS.items():
        assert getattr(bd.tasks, name) is task


@on_every_task
@pytest.mark.parametrize("split", SPLITS)
def test_a_task_gives_sequences_with_labels(name, split):
    steps, inputs, classes, sizes = TASKS[name]
    X, y = bd.tasks.TASKS[name](split)
    assert X.shape == (sizes[split], steps, inputs)
    assert X.dtype == np.float64
    assert y.shape == (sizes[split],)
    assert y.dtype.kind == "i"
    assert set(y.tolist()) == set(range(classes))


@on_every_task
def test_sequences_lie_on_the_grid_of_rollouts(name):
    # so that the dictionary's rounding changes nothing of the data
    X, _ = bd.tasks.TASKS[name]()
    assert np.array_equal(check_sequences(X), X)


@on_every_task
def test_all_is_what_is_given_unasked(name):
    task = bd.tasks.TASKS[name]
    for one, other in zip(task(), task(split="all"), strict=True):
        assert np.array_equal(one, other)


@on_every_task
def test_train_and_test_are_disjoint_and_cover_all(name):
    every, train, test = (pairs(*bd.tasks.TASKS[name](split)) for split in SPLITS)
    assert sorted(train + test) == every
    assert len(set(every)) == len(every)  # no sequence twice, so none on both sides
    assert not set(train) & set(test)


@on_every_task
def test_a_split_is_the_same_each_time_and_the_callers_own(name):
    for split in SPLITS:
        X, y = bd.tasks.TASKS[name](split)
        kept = X.copy(), y.copy()
        X[:], y[:] = -1, -1
        again = bd.tasks.TASKS[name](split)
        assert all(np.array_equal(a, b) for a, b in zip(kept, again, strict=True))


@on_every_task
def test_classes_have_the_same_share_on_both_sides(name):
    labels = {split: bd.tasks.TASKS[name](split)[1] for split in SPLITS}
    counts = {split: np.bincount(y) for split, y in labels.items()}
    for split in ("train", "test"):
        # stratified: each class is within one image of its share
        expected = counts["all"] * len(labels[split]) / len(labels["all"])
        assert np.abs(counts[split] - expected).max() < 1


@on_every_task
@pytest.mark.parametrize("split", ["validation", "Train", "", None, 0, ("train",)])
def test_an_unknown_split_is_refused_by_name(name, split):
    with pytest.raises(ValueError, match=r"^split: expected 'all', 'train' or 'test', got "):
        bd.tasks.TASKS[name](split)


def test_digits_are_the_images_row_by_row():
    X, y = bd.tasks.digits()
    source = load_digits()
    assert np.array_equal(X * 16, source.images)
    assert np.array_equal(y, source.target)
    assert X.min() == 0
    assert X.max() == 1
    assert np.array_equal(X * 16, np.rint(X * 16))


@pytest.mark.parametrize("split", ["train", "test"])
def test_splits_of_digits_keep_the_order_of_the_images(split):
    every, part = pairs_in_order("all"), pairs_in_order(split)
    places = [every.index(pair) for pair in part]
    assert places == sorted(places)


def pairs_in_order(split):
    X, y = bd.tasks.digits(split)
    return [x.tobytes() + label.tobytes() for x, label in zip(X, y, strict=True)]


DIGITS = {
    # split: SHA-256 of the labels as bytes, and of 16 times the pixels as bytes
    "all": (
        "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0",
        "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3",
    ),
    "train": (
        "472176d28e5c3fca243ca84caf3e7efaa1d114f7bce75b90ef770ba6d23e6e7d",
        "49e6b5ff3c06049d22107456f1bec003f43746a0ac1c12519726055adeed2fc5",
    ),
    "test": (
        "da1a2ec12e5c2ed7d8850ca7ed88c3b71e3468151b1e545e5b75c80bed4925cf",
        "342538e35bc5249d3b38fda72290ee7bdab962de1bda7a6e64e80d88c5204653",
    ),
}


@pytest.mark.parametrize("split", SPLITS)
def test_digits_have_the_pinned_digests(split):
    X, y = bd.tasks.digits(split)
    found = [hashlib.sha256(a.astype(np.uint8).tobytes()).hexdigest() for a in (y, X * 16)]
    assert found == list(DIGITS[split])
