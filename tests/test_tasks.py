"""Every task gives sequences and labels with fixed, disjoint splits, and is what it says."""

import gzip
import hashlib
import os
import re
import struct
import tracemalloc
import zlib
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import bidual as bd
from bidual.dictionaries import check_sequences

# task: steps, inputs, classes, and sequences in all, train and test. A new task joins here.
TASKS = {
    "digits": (8, 8, 10, {"all": 1797, "train": 1437, "test": 360}),
    "first_last_xor": (6, 2, 2, {"all": 64, "train": 51, "test": 13}),
    "addition": (6, 3, 2, {"all": 2048, "train": 1638, "test": 410}),
    "mnist": (28, 28, 10, {"all": 10000, "train": 8000, "test": 2000}),
}
AT_EVERY_STEP = {"addition"}  # which have a label at each step
SPLITS = ("all", "train", "test")
where_mnist_is = pytest.mark.skipif(
    "BIDUAL_DATA" not in os.environ, reason="BIDUAL_DATA names no folder with MNIST's files"
)


def on(names):
    marked = [pytest.param(n, marks=where_mnist_is if n == "mnist" else ()) for n in names]
    return pytest.mark.parametrize("name", marked)


on_every_task = on(TASKS)


def pairs(X, y):
    """Sequences with their labels as sorted byte strings: a multiset to compare."""
    return sorted(x.tobytes() + label.tobytes() for x, label in zip(X, y, strict=True))


def test_every_registered_task_is_held_to_the_table():
    assert set(TASKS) == set(bd.tasks.__all__) - {"TASKS"}
    assert set(bd.tasks.TASKS) == set(TASKS) - AT_EVERY_STEP
    for name, task in bd.tasks.TASKS.items():
        assert getattr(bd.tasks, name) is task


@on_every_task
@pytest.mark.parametrize("split", SPLITS)
def test_a_task_gives_sequences_with_labels(name, split):
    steps, inputs, classes, sizes = TASKS[name]
    X, y = getattr(bd.tasks, name)(split)
    assert X.shape == (sizes[split], steps, inputs)
    assert X.dtype == np.float64
    assert y.shape == ((sizes[split], steps) if name in AT_EVERY_STEP else (sizes[split],))
    assert y.dtype.kind == "i"
    assert set(y.ravel().tolist()) == set(range(classes))


@on_every_task
def test_sequences_lie_on_the_grid_of_rollouts(name):
    # so that the dictionary's rounding changes nothing of the data
    X, _ = getattr(bd.tasks, name)()
    assert np.array_equal(check_sequences(X), X)


@on_every_task
def test_all_is_what_is_given_unasked(name):
    task = getattr(bd.tasks, name)
    for one, other in zip(task(), task(split="all"), strict=True):
        assert np.array_equal(one, other)


@on_every_task
def test_train_and_test_are_disjoint_and_cover_all(name):
    every, train, test = (pairs(*getattr(bd.tasks, name)(split)) for split in SPLITS)
    assert sorted(train + test) == every
    assert len(set(every)) == len(every)  # no sequence twice, so none on both sides
    assert not set(train) & set(test)


@on_every_task
def test_a_split_is_the_same_each_time_and_the_callers_own(name):
    for split in SPLITS:
        X, y = getattr(bd.tasks, name)(split)
        kept = X.copy(), y.copy()
        X[:], y[:] = -1, -1
        again = getattr(bd.tasks, name)(split)
        assert all(np.array_equal(a, b) for a, b in zip(kept, again, strict=True))


@on([name for name in TASKS if name not in AT_EVERY_STEP])
def test_classes_have_the_same_share_on_both_sides(name):
    labels = {split: getattr(bd.tasks, name)(split)[1] for split in SPLITS}
    counts = {split: np.bincount(y) for split, y in labels.items()}
    for split in ("train", "test"):
        # stratified: each class is within one sequence of its share
        expected = counts["all"] * len(labels[split]) / len(labels["all"])
        assert np.abs(counts[split] - expected).max() < 1


@on_every_task
@pytest.mark.parametrize("split", ["validation", "Train", "", None, 0, ("train",)])
def test_an_unknown_split_is_refused_by_name(name, split):
    with pytest.raises(ValueError, match=r"^split: expected 'all', 'train' or 'test', got "):
        getattr(bd.tasks, name)(split)


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


def numbers_of(X, base):
    """Both operands and the carry-in of every sum, as Python's integers; digits of any base."""
    rows = np.rint(X * (base - 1)).astype(int)
    powers = [base**k for k in range(X.shape[1] - 1)]
    a, b = (rows[:, :-1, k].astype(object) @ np.array(powers, dtype=object) for k in (0, 1))
    return a, b, rows[:, 0, 2]


@given(
    base=st.integers(2, 12),
    digits=st.integers(1, 12),
    seed=st.integers(0, 2**32),
    samples=st.integers(10, 60),
)
def test_labels_of_addition_are_the_digits_and_carries_of_the_sum(base, digits, seed, samples):
    parts = {"base": base, "digits": digits, "samples": samples, "seed": seed}
    X, y = bd.tasks.addition(**parts)
    again, carries = bd.tasks.addition(head="carry", **parts)
    assert np.array_equal(X, again)
    a, b, carry_in = numbers_of(X, base)
    assert set(carry_in.tolist()) <= {0, 1}
    for k in range(samples):
        total = a[k] + b[k] + int(carry_in[k])
        assert sum(int(digit) * base**t for t, digit in enumerate(y[k])) == total
        low = [base ** (t + 1) for t in range(digits)]
        expected = [int(a[k] % p + b[k] % p + carry_in[k] >= p) for p in low]
        assert carries[k].tolist() == [*expected, 0]
    # the carry that a step tells is the one that the next reads; nothing is added to the last
    assert np.array_equal(np.rint(X[:, 1:, 2] * (base - 1)), carries[:, :-1])
    assert not X[:, -1, :2].any()
    assert np.array_equal(check_sequences(X), X)


@pytest.mark.parametrize(("base", "digits"), [(2, 1), (2, 5), (3, 3), (10, 2)])
def test_all_sums_come_once_unless_samples_are_asked_for(base, digits):
    found = list(
        zip(*numbers_of(bd.tasks.addition(base=base, digits=digits)[0], base), strict=True)
    )
    numbers = range(base**digits)
    assert len(found) == 2 * base ** (2 * digits)
    assert set(found) == set(product(numbers, numbers, (0, 1)))


@pytest.mark.parametrize("seed", [0, 1])
def test_sums_drawn_twice_stay_on_one_side(seed):
    parts = {"samples": 4096, "seed": seed}  # of 2,048 different ones
    every, train, test = (pairs(*bd.tasks.addition(split, **parts)) for split in SPLITS)
    assert len(set(every)) < len(every) == 4096
    assert sorted(train + test) == every
    assert not set(train) & set(test)


def test_drawn_operands_are_uniform_and_differ_with_the_seed():
    X, _ = bd.tasks.addition(base=3, digits=20, samples=2000)
    digits = np.rint(2 * X[:, :-1, :2]).astype(int)
    counts = np.bincount(digits.ravel())
    # 80,000 digits: a share of 1/3 is within 5 standard deviations of sqrt(2/9 / 80,000)
    assert np.abs(counts / digits.size - 1 / 3).max() < 5 * np.sqrt(2 / 9 / digits.size)
    other, _ = bd.tasks.addition(base=3, digits=20, samples=2000, seed=1)
    assert not np.array_equal(X, other)


def test_addition_is_a_program_at_every_step():
    lif = bd.LIF(hidden=(16, 8), readout="every")
    X, y = bd.tasks.addition(base=3, digits=2, samples=40)
    atoms = lif.sample(X, subnetworks=4, seed=0)
    program = lif.program(atoms, y, "hinge", beta=0.1)
    assert program.target.shape == (40 * 3, 3)
    assert np.array_equal(program.target.argmax(axis=1).reshape(3, 40).T, y)
    _, carries = bd.tasks.addition(base=3, digits=2, samples=40, head="carry")
    assert lif.program(atoms, carries, "hinge", beta=0.1).outputs == 1


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"base": 1}, "base: expected a whole number from 2 to 65536, got 1"),
        ({"base": 2.0}, "base: expected a whole number from 2 to 65536, got 2.0"),
        ({"digits": 0}, "digits: expected a whole number of at least 1, got 0"),
        ({"digits": True}, "digits: expected a whole number of at least 1, got True"),
        ({"samples": 9}, "samples: expected a whole number of at least 10, got 9"),
        (
            {"digits": 8},
            "samples: expected the number of sums to draw out of 131072, got None; "
            "None returns all sums, up to 65536",
        ),
        ({"head": "sum"}, "head: expected 'digit' or 'carry', got 'sum'"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        ({"samples": 50, "seed": "a"}, "seed: expected a whole number of at least 0, got 'a'"),
    ],
)
def test_addition_refuses_by_name(parts, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bd.tasks.addition(**parts)


@pytest.mark.parametrize(
    ("steps", "samples"),
    [(3, None), (3, 8), (6, None), (7, 30), (14, 2000), (16, None), (17, 8), (40, 500), (62, 100)],
)
def test_strings_are_different_balanced_and_labelled_by_their_ends(steps, samples):
    X, y = bd.tasks.first_last_xor(steps=steps, samples=samples)
    count = 2**steps if samples is None else samples
    assert X.shape == (count, steps, 2)
    assert np.array_equal(X.sum(axis=2), np.ones((count, steps)))
    bits = X[:, :, 1].astype(int)
    assert set(np.unique(X).tolist()) == {0.0, 1.0}
    assert np.array_equal(y, (bits[:, 0] + bits[:, -1]) % 2)
    assert np.bincount(y).tolist() == [count // 2, count // 2]
    strings = ["".join(map(str, row)) for row in bits]
    assert strings == sorted(set(strings))


@given(steps=st.integers(3, 62), half=st.integers(4, 40), seed=st.integers(0, 2**32))
def test_no_string_is_both_trained_on_and_tested(steps, half, seed):
    parts = {"steps": steps, "samples": min(2 * half, 2**steps), "seed": seed}
    every, train, test = (pairs(*bd.tasks.first_last_xor(split, **parts)) for split in SPLITS)
    assert sorted(train + test) == every
    assert not set(train) & set(test)
    assert train
    assert test


def test_another_seed_samples_other_strings():
    one, other = (bd.tasks.first_last_xor(steps=30, samples=50, seed=s)[0] for s in (0, 1))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"steps": 2}, "steps: expected a whole number from 3 to 62, got 2"),
        ({"steps": 63}, "steps: expected a whole number from 3 to 62, got 63"),
        ({"steps": 6.0}, "steps: expected a whole number from 3 to 62, got 6.0"),
        ({"samples": 66}, "samples: expected a whole number from 8 to 64, got 66"),
        ({"samples": 9}, "samples: expected an even number, got 9"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        (
            {"steps": 17},
            "samples: expected the number of strings to draw, got None; None returns all "
            "strings, up to 16 steps",
        ),
    ],
)
def test_first_last_xor_refuses_by_name(parts, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bd.tasks.first_last_xor(**parts)


IMAGES, LABELS = "images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"


def idx(array):
    """An array of bytes as IDX stores it."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


def write_mnist(folder, prefix=""):
    """20 images of 28 x 28, two of each digit; what was written."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    labels = np.repeat(np.arange(10, dtype=np.uint8), 2)
    (folder / (prefix + IMAGES)).write_bytes(gzip.compress(idx(images)))
    (folder / (prefix + LABELS)).write_bytes(gzip.compress(idx(labels)))
    return images, labels


@pytest.mark.parametrize("prefix", ["", "t10k-"])
def test_mnist_is_read_row_by_row(tmp_path, prefix, monkeypatch):
    images, labels = write_mnist(tmp_path, prefix)
    X, y = bd.tasks.mnist(folder=tmp_path)
    assert X.shape == (20, 28, 28)
    assert y.dtype == np.int64
    assert np.array_equal(y, labels)
    assert np.array_equal(np.rint(X * 255), images)
    assert np.abs(X - images / 255).max() <= 2**-21  # half a step of the grid
    assert np.array_equal(check_sequences(X), X)
    assert X.min() == 0
    assert X.max() == 1
    monkeypatch.setenv("BIDUAL_DATA", str(tmp_path))
    assert np.array_equal(bd.tasks.mnist()[0], X)


def test_an_argument_goes_before_the_environment(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    monkeypatch.setenv("BIDUAL_DATA", str(tmp_path / "elsewhere"))
    assert len(bd.tasks.mnist(folder=str(tmp_path))[1]) == 20


@pytest.mark.parametrize("value", [None, ""])
def test_mnist_without_a_folder_says_how_to_name_one(monkeypatch, value):
    monkeypatch.delenv("BIDUAL_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("BIDUAL_DATA", value)
    with pytest.raises(ValueError, match=r"^folder: expected .* BIDUAL_DATA, got none$"):
        bd.tasks.mnist()


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_a_missing_file_is_named(tmp_path, name):
    write_mnist(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"^folder: expected {name} in .*, found none; "):
        bd.tasks.mnist(folder=tmp_path)


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("prefix", ["", "t10k-", "train-"])
def test_mnist_is_read_under_the_names_that_programs_give_it(tmp_path, prefix, mark, end):
    images, labels = write_mnist(tmp_path, prefix)
    for name in (IMAGES, LABELS):
        whole = (tmp_path / (prefix + name)).read_bytes()
        (tmp_path / (prefix + name)).unlink()
        spelled = prefix + name.replace("-", mark, 1).removesuffix(".gz") + end
        (tmp_path / spelled).write_bytes(whole if end else gzip.decompress(whole))
    X, y = bd.tasks.mnist(folder=tmp_path)
    assert np.array_equal(np.rint(X * 255), images)
    assert np.array_equal(y, labels)


def test_images_and_labels_are_of_one_set(tmp_path):
    images, _ = write_mnist(tmp_path, "train-")
    write_mnist(tmp_path, "t10k-")
    (tmp_path / f"t10k-{IMAGES}").write_bytes(gzip.compress(idx(255 - images)))
    X, _ = bd.tasks.mnist(folder=tmp_path)
    assert np.array_equal(np.rint(X * 255), 255 - images)
    (tmp_path / f"t10k-{LABELS}").unlink()
    X, _ = bd.tasks.mnist(folder=tmp_path)
    assert np.array_equal(np.rint(X * 255), images)
    (tmp_path / f"train-{IMAGES}").unlink()
    with pytest.raises(FileNotFoundError, match=f"expected {IMAGES} and {LABELS} in"):
        bd.tasks.mnist(folder=tmp_path)


@pytest.mark.parametrize("digits", [[4], [4, 7], [3, 3, 3, 8], list(range(10)) * 2, [5] * 3])
def test_too_few_images_for_two_sides_are_refused_by_name(tmp_path, digits):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (len(digits), 28, 28), dtype=np.uint8)
    (tmp_path / IMAGES).write_bytes(gzip.compress(idx(images)))
    (tmp_path / LABELS).write_bytes(gzip.compress(idx(np.array(digits, np.uint8))))
    assert bd.tasks.mnist("all", folder=tmp_path)[1].tolist() == digits
    sizes = []
    for split in ("train", "test"):
        try:
            sizes.append(len(bd.tasks.mnist(split, folder=tmp_path)[1]))
        except ValueError as error:
            assert re.fullmatch(  # noqa: PT017
                rf"split: expected 'all', since {len(digits)} samples of .*, got '{split}'",
                str(error),
            )
    assert sizes in ([], [len(digits) - 1, 1])  # three of one digit: two and one


@pytest.mark.parametrize("name", [IMAGES, LABELS])
@pytest.mark.parametrize("told", [20, 2**18, 2**32 - 1])
def test_no_more_is_unpacked_than_a_head_announces(tmp_path, name, told):
    write_mnist(tmp_path)
    head = idx(np.zeros((1, 28, 28) if name == IMAGES else 1, np.uint8))[
        : 16 - 8 * (name == LABELS)
    ]
    head = head[:4] + struct.pack(">I", told) + head[8:]
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = pack.compress(head) + b"".join(pack.compress(bytes(1 << 22)) for _ in range(16))
    (tmp_path / name).write_bytes(bomb + pack.flush())
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^folder: expected "):
            bd.tasks.mnist(folder=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 21  # of 64 MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_every_truncation_of_a_file_is_refused(tmp_path, name):
    write_mnist(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for length in {*range(40), len(whole) // 2, *range(len(whole) - 10, len(whole))} & {
        *range(len(whole))
    }:
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"^folder: "):
            bd.tasks.mnist(folder=tmp_path)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
@given(data=st.data())
def test_a_changed_byte_is_never_taken_for_data(tmp_path_factory, name, data):
    folder = tmp_path_factory.mktemp("mnist")
    write_mnist(folder)
    whole = bytearray((folder / name).read_bytes())
    # byte 3 holds flags, of which some mean nothing
    place = data.draw(st.integers(0, len(whole) - 1).filter(lambda k: k != 3))
    whole[place] ^= data.draw(st.integers(1, 255))
    expected = bd.tasks.mnist(folder=folder)
    (folder / name).write_bytes(whole)
    # gzip's date and system say nothing of the data, nor do some bits behind the last code
    refused = ""
    try:
        found = bd.tasks.mnist(folder=folder)
    except ValueError as error:
        refused = str(error)
    if refused:
        assert refused.startswith("folder: ")
        assert not 4 <= place < 10
    else:
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (IMAGES, b""),
        (IMAGES, idx(np.zeros((20, 28, 28), np.uint8))[:-1]),
        (IMAGES, idx(np.zeros((20, 28, 28), np.uint8)) + b"0"),
        (IMAGES, idx(np.zeros((20, 14, 56), np.uint8))),
        (IMAGES, idx(np.zeros((0, 28, 28), np.uint8))),
        (IMAGES, idx(np.zeros(20, np.uint8))),
        (IMAGES, idx(np.zeros((19, 28, 28), np.uint8))),
        (IMAGES, struct.pack(">HBB3I", 0, 13, 3, 20, 28, 28) + bytes(20 * 28 * 28)),  # floats
        (IMAGES, struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)),
        (LABELS, idx(np.full(20, 10, np.uint8))),
        (LABELS, idx(np.zeros(21, np.uint8))),
        (LABELS, idx(np.zeros(0, np.uint8))),
        (LABELS, idx(np.zeros((20, 1), np.uint8))),
    ],
)
def test_another_file_in_the_place_of_mnist_is_refused(tmp_path, name, content):
    write_mnist(tmp_path)
    (tmp_path / name).write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=r"^folder: expected "):
        bd.tasks.mnist(folder=tmp_path)


def test_a_file_that_is_no_gzip_is_refused(tmp_path):
    images, _ = write_mnist(tmp_path)
    (tmp_path / IMAGES).write_bytes(idx(images))
    with pytest.raises(ValueError, match=r"^folder: expected a complete gzip file, got .*images"):
        bd.tasks.mnist(folder=tmp_path)


@where_mnist_is
def test_mnist_is_the_published_test_set():
    X, y = bd.tasks.mnist()
    assert y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]  # as published
    assert np.bincount(y).tolist() == counts
    # the mean and deviation that are published for its pixels
    assert abs(X.mean() - 0.1325) < 5e-5
    assert abs(X.std() - 0.3105) < 5e-5
