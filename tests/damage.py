"""Damage files for tests of readers: bytes at random, and the values of a tree of JSON.

``damaged`` and ``altered`` take a ``random.Random``, so that a round is the same in each run.
``Watch`` runs a reader on one file after another, and asserts how each ends.
"""

import time
import tracemalloc
from copy import deepcopy

ODD = (
    *(0, 1, -1, 2, 7, 8, 63, 2**31, 2**32, 2**63, 2**64, -(2**63), 2**127, 2**128, 10**300),
    *(4095, 4096, 4097, -4096, -4097, 2**4095, -(2**4096), 2**4097, 2**4500),
    *(
        True,
        False,
        None,
        0.5,
        1e300,
        float("nan"),
        "",
        "1",
        "squared",
        "softmax",
        "group",
        "\ud800",
    ),
    *([], [0], [[]], [None], [1, 2, 3], {}, {"bits": 0}, {"bits": 0, "integers": [1]}),
)


def damaged(data, rng):
    """Bytes with one to three places altered, cut, doubled, swapped or overwritten."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.randrange(len(data) + 1)
        length = min(rng.choice((1, 2, 4, 8, 64)), len(data) - place)
        match rng.randrange(7):
            case 0 if place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                data[place : place + length] = rng.randbytes(length)
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = rng.choice((bytes(length), rng.randbytes(length)))
            case 4:
                data[place:place] = data[place : place + 64]
            case 5:
                del data[place:]
            case _:  # a count or a size
                odd = rng.choice((0, 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, rng.randrange(2**32)))
                data[place : place + 4] = odd.to_bytes(4, rng.choice(("little", "big")))
    return bytes(data)


def altered(tree, rng):
    """A copy of a JSON object with one to three values, entries or keys altered."""
    tree = deepcopy(tree)
    for _ in range(rng.choice((1, 1, 2, 3))):
        holder, key = rng.choice([*_places(tree)])
        value = holder[key]
        match rng.randrange(6):
            case 0:
                holder[key] = deepcopy(rng.choice(ODD))
            case 1 if type(value) is int:
                holder[key] = value + rng.choice((-1, 1, value, -2 * value))
            case 2:
                del holder[key]
            case 3 if isinstance(value, list):
                holder[key] = value + value[:1] if value else [0]
            case 4 if isinstance(holder, list):
                other = rng.randrange(len(holder))
                holder[key], holder[other] = holder[other], value
            case _:
                _, other = rng.choice([*_places(tree)])
                holder[key] = (
                    deepcopy(rng.choice([*_places(tree)])[0]) if other else rng.choice(ODD)
                )
        if not tree:
            break
    return tree


def _places(tree):
    """Yield the holder and the key of each value of a tree; of long lists, of a few entries."""
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        keys = range(len(holder)) if isinstance(holder, list) else list(holder)
        for key in [*keys][:4] + [*keys][-2:] if isinstance(holder, list) else keys:
            yield holder, key
            if isinstance(holder[key], (list, dict)) and holder[key]:
                waiting.append(holder[key])


class Watch:
    """Run a reader on files, and assert that each ends in a value or in the reader's own error."""

    def __init__(self, read, error, begins, memory=1 << 24, seconds=10.0):
        self.read, self.error, self.begins = read, error, begins
        self.memory, self.seconds = memory, seconds
        self.taken = self.refused = 0
        self.words = set()

    def __call__(self, *arguments):
        """Return what the reader returns, or None if it refuses the file."""
        traced = (self.taken + self.refused) % 4 == 0  # which takes time
        if traced:
            tracemalloc.start()
        start = time.thread_time()
        found = None
        try:
            found = self.read(*arguments)
        except self.error as error:
            told = str(error)
            assert told.startswith(self.begins), told
            assert told.isprintable(), told
            assert len(told) < 3000 + len(self.begins), told
            self.words.add(told[-12:])
            self.refused += 1
        else:
            self.taken += 1
        finally:
            peak = tracemalloc.get_traced_memory()[1] if traced else 0
            tracemalloc.stop()
        assert peak < self.memory, peak
        assert time.thread_time() - start < self.seconds
        return found
