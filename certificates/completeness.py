"""Prove that a certificate is about every network of a class: ``python completeness.py FILE...``.

checker.py must lie beside this file. It proves bounds over the columns of a file. From the
``completeness.json`` of the same file this script proves that the columns are all the patterns
that one hidden neuron of a class can fire on the inputs in the file. A network of one hidden
layer, of any width, is a weighted sum of such columns. The lower bound therefore holds for
all these networks. A file names one of two classes:

    threshold   1{x.h >= 0} for rows x of the inputs, h any real numbers;
    lif         u[t] = leak u[t-1] + x[t].p - r theta s[t-1],  s[t] = 1{u[t] >= theta},  from
                u = s = 0, p any two (or one) real numbers, theta > 0, read at the last step
                or at every step; r is 1 (delayed reset) or leak (immediate).

The proof is a list and a count. The file lists a neuron in integers for every pattern; the
script evaluates the neuron, which must fire the pattern. The patterns must be distinct. The
script then counts how many patterns the class can have at most, without using the number in
the file. Both numbers must be equal.

*Threshold.* Fix a pattern. Among all h with this pattern take one with the fewest rows
x.h = 0, and let F be these rows. If some g had x.g >= 0 on F, and not 0 on all of F, h + eps g
with a small eps > 0 would have the same pattern and fewer zeros. So F has no such g. F is a
flat: it contains all rows in its span. Restrict the other rows to the h orthogonal to F; F and
the open cell in which this h lies determine the pattern. Hence the number of patterns is at
most the sum of these cells over the flats without g. Flats of independent rows have a g. One
h0 with x.h0 >= 0 for all rows is a g for every flat that contains a row with x.h0 > 0; with a
bias these are all flats but the empty one. The file may give a g for other flats. The script
counts the cells of all remaining flats. Open cells are counted by

    r(A) = 1 + sum_i r(A_1, ..., A_(i-1) on the hyperplane of A_i),

with parallel rows merged: the row A_i cuts as many cells in two as it has cells itself.

*LIF.* Scaling p up makes every tie u = theta strict, so that every pattern is that of an open
cell. A node is a distinct beginning of an input sequence. Let h be the earlier spikes of a
neuron; it fires at node k where c_k.p >= w_h theta, one side of a line in the plane theta = 1.
The script adds one node after another. The nodes before k cut the line of k into intervals,
and the line cuts one cell in two for each interval with this h. It cuts none if a node before
k has the same line.

The script computes with integers and imports nothing but the standard library. Beyond the
time and memory of checker.py, no file takes more than about a minute and 1 GB: the script
charges every step by its size before it takes the step, and refuses files that need more than
``MOST_WORK``.
"""

import hashlib
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, product
from math import gcd
from operator import mul
from pathlib import Path
from typing import Any

try:
    from . import checker
except ImportError:  # run as a script: the checker lies beside it, also for ``python -I``
    sys.path.insert(0, str(Path(__file__).parent))
    import checker  # type: ignore[import-not-found, no-redef]

MOST_BYTES = 3 << 24  # size of completeness.json: 48 MiB
MOST_BITS = 1024  # bits of an input, or of a hidden weight (an entry of a witness)
MOST_SIZE = 16  # inputs, and steps; they bound the depth of recursion
MOST_WORK = 20_000_000  # entries of restricted rows, each about 3 microseconds and 30 bytes

Refused, expect, NAME = checker.Refused, checker.expect, checker.EXTRA_NAME
Row = tuple[int, ...]
Rows = list[Row]


class Work:
    """The work left to the count, and the arrangements counted so far."""

    def __init__(self) -> None:
        self.left, self.known = MOST_WORK, dict[frozenset[Row], int]()

    def spend(self, amount: int, bits: int = 0) -> None:
        """Charge ``amount`` gcds of integers of ``bits`` bits; refuse the file if none is left."""
        self.left -= amount * (1 + (bits >> 9) ** 2)
        expect(self.left >= 0, f"checking takes more than {MOST_WORK} steps")


# patterns of neurons


def fired(samples: list[Rows], leak: Row, reset: Row, neurons: Rows, work: Work) -> Iterator[str]:
    """Yield the pattern of each neuron (p, theta) as bits: last step first, row n - 1 first.

    With T steps, leak = num / den, r = share / gain and v[t] = gain den^(T-1) u[t],

        v[t] = num / den v[t-1] + den^(T-1) (gain x[t].p - share theta s[t-1]),

    where the division leaves no remainder. One integer holds all n rows, in ``top`` bits each:
    its sums and multiples are those of all rows at once.
    """
    (num, den), (share, gain) = leak, reset
    n, steps, inputs = len(samples), len(samples[0]), len(samples[0][0])
    unit: int = den ** (steps - 1)
    size, digits = width(x for sample in samples for x in sample), width(neurons)
    # |u| is at most the sum of the inputs, and theta is subtracted from u
    most = (steps + 1) * unit * (gain * (inputs + 1) + share) << (size + digits)
    top = 8 * (most.bit_length() // 8 + 1)  # so that 2^(top - 1) > most
    cost = 1 + (n >> 6) + (n * top * (2 + inputs * (1 + (digits >> 8))) >> 13)
    work.spend(steps * (n * (inputs * top + 63 >> 6) + len(neurons) * cost))
    ones = int.from_bytes((1).to_bytes(top // 8, "little") * n, "little")
    half = ones << (top - 1)

    def packed(values: Iterable[int], factor: int, times: int = 1) -> int:
        shifted = (unit * factor * x + (1 << (top - 1)) for x in values)
        fields = b"".join([x.to_bytes(top // 8, "little") for x in shifted])
        return int.from_bytes(fields * times, "little") - half

    by_step = zip(*samples, strict=True)
    drives = [[packed(x, gain) for x in zip(*rows, strict=True)] for rows in by_step]
    for *p, theta in neurons:
        v, spikes, text = 0, 0, b""
        bar, taken = half - packed([theta], gain, n), packed([theta], share, n)
        for drive in drives:
            v = num * v // den + sum(map(mul, p, drive)) - (taken & ((spikes << top) - spikes))
            fields = v + bar  # the top bit: v >= unit gain theta
            spikes = fields >> (top - 1) & ones
            text = fields.to_bytes(n * top // 8, "big")[:: top // 8] + text
        yield text.translate(b"0" * 128 + b"1" * 128).decode()


# the largest number of threshold patterns


def shortest(row: Sequence[int]) -> Row:
    """Return the shortest positive multiple of a row."""
    divisor = gcd(*row) or 1
    return tuple([x // divisor for x in row])


def line(row: Row) -> Row:
    """Return a shortest row or its negative, the one whose first nonzero entry is positive."""
    return row if row > (0,) * len(row) else tuple([-x for x in row])


def width(rows: Iterable[Row]) -> int:
    """Return the bits of the largest entry."""
    return max((max(max(row), -min(row)) for row in rows), default=0).bit_length()


def restrict(rows: Rows, normal: Row, work: Work) -> Rows:
    """Restrict rows to the hyperplane of ``normal``, eliminating a coordinate; shortest rows."""
    work.spend(1 + len(rows) * (1 + len(normal)), width(rows) + width([normal]))
    at = next(j for j, x in enumerate(normal) if x)  # the first nonzero entry
    others = normal[:at] + normal[at + 1 :]
    rest = ((row[at], zip(row[:at] + row[at + 1 :], others, strict=True)) for row in rows)
    return [shortest([normal[at] * x - first * y for x, y in pairs]) for first, pairs in rest]


def cells(all_rows: Rows, work: Work) -> int:
    """Count the open cells of the hyperplanes of shortest rows."""
    rows = frozenset(line(row) for row in all_rows if any(row))
    if len(rows) < 3 or len(next(iter(rows))) == 2:
        return 2 * len(rows) or 1
    if rows not in work.known:
        total, before = 1, list[Row]()
        for row in sorted(rows):
            total += cells(restrict(before, row, work), work)
            before.append(row)
        work.known[rows] = total
    return work.known[rows]


def most_patterns(rows: Rows, h0: Row, separator: Callable[[int], Row | None], work: Work) -> int:
    """Bound the patterns 1{x.h >= 0} of the rows from above.

    A flat is an integer: bit i is 1 if the flat contains the i-th distinct row. Distinct rows
    are those that are not 0, in order of first appearance; positive multiples are the same row.
    ``separator(flat)`` returns a g for the flat, or None.
    """
    distinct = list(dict.fromkeys(shortest(row) for row in rows if any(row)))
    heights = [sum(map(mul, row, h0)) for row in distinct]
    expect(min(heights, default=0) >= 0, "h0: x.h0 is below 0 for a row of the inputs")
    # h0 is a g for every flat that contains a row outside these
    inside = [i for i, height in enumerate(heights) if height == 0]
    span, rest = 0, [distinct[i] for i in inside]
    while any(map(any, rest)):
        rest, span = restrict(rest, line(next(filter(any, rest))), work), span + 1
    level, rank, total = dict[int, Any]({0: None}), 0, 0  # the arguments of restrict
    while level:
        following = dict[int, Any]()
        for flat, origin in level.items():
            # independent rows have a g
            g = separator(flat) if (dependent := flat.bit_count() > rank) else None
            counted = flat == 0 or (dependent and g is None)
            if g is not None:
                work.spend(len(distinct) + flat.bit_count() * len(h0), width([g]))
                values = [sum(map(mul, x, g)) for i, x in enumerate(distinct) if flat >> i & 1]
                expect(min(values) >= 0 < max(values), f"separators: false for flat {flat}")
            # the only flat of a rank above span - 1 contains all rows inside
            extended = rank + 1 < span or not following
            rest = restrict(*origin) if origin and (counted or extended) else distinct
            total += cells(rest, work) if counted else 0
            joined = dict[Row, int]()
            work.spend(1 + extended * len(inside) * (8 + len(distinct) // 64))
            for i in filter(lambda i: any(rest[i]), inside if extended else ()):
                normal = line(rest[i])
                joined[normal] = joined.get(normal, flat) | 1 << i
            for normal, larger in joined.items():
                following.setdefault(larger, (rest, normal, work))
        level, rank = following, rank + 1
    return total


# the number of trajectories of a LIF neuron with two inputs


class Trie:
    """The distinct beginnings of sequences of two inputs, shorter ones first, from the empty one.

    Node k fires where drives[k].p >= (bar + share R) theta. R is 0 at the first step and
    num / den R + unit s at the next one, where s is the node's spike.
    """

    def __init__(self, samples: list[Rows], leak: Row, reset: Row, work: Work) -> None:
        (self.num, self.den), (self.share, gain), self.work = leak, reset, work
        self.unit: int = self.den ** (len(samples[0]) - 1)
        self.bar = gain * self.unit
        self.paths, self.drives, self.children = list[Row]([()]), [(0, 0)], [list[int]()]
        index, above = dict[Any, int](), [0] * len(samples)
        for t in range(len(samples[0])):
            for i, sample in enumerate(samples):
                parent, k = above[i], len(self.paths)
                above[i] = index.setdefault((parent, sample[t]), k)
                if above[i] == k:
                    work.spend(32 + self.unit.bit_length() // 16)
                    two = zip(self.drives[parent], (*sample[t], 0), strict=False)  # or one
                    self.drives.append(tuple(self.after(c, 0) + self.bar * x for c, x in two))
                    self.paths.append((*self.paths[parent], parent))
                    self.children.append([])
                    self.children[parent].append(k)

    def after(self, reset: int, spike: int) -> int:
        """Return R at the next step."""
        return self.num * reset // self.den + self.unit * spike

    def count(self) -> int:
        """Count cells: one at first, and one more each time a line cuts a cell in two."""
        total, bits = 1, 2 * width(self.drives)
        for k, (x, y) in enumerate(self.drives):
            self.work.spend((k + 1) << (len(self.paths[k]) if x or y else 0), bits)
            along = tuple(x * a + y * b for a, b in self.drives[: k + 1])
            across = tuple(x * b - y * a for a, b in self.drives[: k + 1])
            # the empty beginning and nodes without drive never fire
            for history in product((0, 1), repeat=len(self.paths[k]) - 1) if x or y else ():
                total += self.intervals(k, (0, *history), along, across, bits)
        return total

    def intervals(self, k: int, history: Row, along: Row, across: Row, bits: int) -> int:
        """Count the intervals with this history into which nodes before k cut the line of k.

        Let (x, y) be the drive of k and w its bar. At the point p = (w (x, y) + z (-y, x)) /
        (x^2 + y^2) of the line, node j fires if w along_j + z across_j >= w_j along_k. A
        number z is a pair: top / bottom, bottom > 0, or (-1, 0) and (1, 0) for the ends.
        """
        path, resets = self.paths[k], list(accumulate(history, self.after, initial=0))
        w = self.bar + self.share * resets[-1]

        def parts(node: int, reset: int, left: Row, right: Row) -> list[tuple[bool, Row, Row]]:
            """Return the spikes of a node from left to right; none if its line is the same."""
            self.work.spend(1, bits)
            top, slope = (self.bar + self.share * reset) * along[k] - w * along[node], across[node]
            # the node fires right of z, or left of it; z is an end if the lines are parallel
            z = shortest((top, slope) if slope > 0 else (-top, -slope))
            if less(left, z) and less(z, right):
                return [(slope <= 0, left, z), (slope > 0, z, right)]
            return [((slope > 0) != less(left, z), left, right)] if top or slope else []

        low, high, waiting = Row((-1, 0)), Row((1, 0)), list[Row]()
        for node, spike, reset, after in zip(path, history, resets[:-1], resets[1:], strict=True):
            kept = [part for part in parts(node, reset, low, high) if part[0] == spike]
            if not kept:
                return 0
            _, low, high = kept[0]
            waiting += [(j, after) for j in self.children[node] if j < k and j not in path]
        begins, same, stack = {low}, list[Any](), [(j, reset, low, high) for j, reset in waiting]
        while stack:
            node, reset, left, right = stack.pop()
            found = parts(node, reset, left, right)
            same += [] if found else [(left, right)]
            for spike, a, b in found:
                begins.add(a)
                after = self.after(reset, spike)
                stack += [(j, after, a, b) for j in self.children[node] if j < k]
        self.work.spend(len(begins) * len(same), bits)
        return sum(not any(less(z, b) and not less(z, a) for a, b in same) for z in begins)


def less(z: Row, other: Row) -> bool:
    """Tell whether z is below another number; (-1, 0) is below all others, (1, 0) above."""
    return z[0] * other[1] < other[0] * z[1] or (z, other) == ((-1, 0), (1, 0))


# the file


def chunks(values: Sequence[Any], size: int) -> list[Any]:
    """Split the values into tuples of ``size``."""
    return [tuple(values[i : i + size]) for i in range(0, len(values), size)]


def read_threshold(fields: checker.Fields, program: checker.Program, work: Work) -> tuple[Any, ...]:
    """Return the class in words, the inputs, the patterns of the listed neurons, and a counter."""
    inputs, listed = fields.integer("inputs", 1, MOST_SIZE), fields.integer("listed", 0, 1 << 32)
    rows = chunks(data := fields.integers("data", program.rows * inputs, MOST_BITS), inputs)
    h0 = tuple(fields.integers("h0", inputs, MOST_BITS))
    witnesses = chunks(fields.integers("witnesses", listed * inputs, MOST_BITS), inputs)
    size = fields.integer("separated", 0, 1 << 32) * (inputs + 1)
    known = chunks(fields.integers("separators", size, checker.MOST_BITS), inputs + 1)
    separators = {flat: tuple(g) for flat, *g in known}
    words = f"two-layer threshold network\n  with neurons 1{{x.h >= 0}}, h in R^{inputs}, x a row"
    # a LIF neuron with leak 0 and threshold 0
    patterns = fired([[row] for row in rows], (0, 1), (0, 1), [(*h, 0) for h in witnesses], work)
    return words, data, patterns, lambda: most_patterns(rows, h0, separators.get, work)


def read_lif(fields: checker.Fields, program: checker.Program, work: Work) -> tuple[Any, ...]:
    """Return the same for LIF neurons, whose patterns are whole trajectories."""
    inputs, listed = fields.integer("inputs", 1, 2), fields.integer("listed", 0, 1 << 32)
    steps = fields.integer("steps", 1, MOST_SIZE)
    num, den = leak = tuple(fields.integers("leak", 2, 64))
    expect(0 <= num <= den > 0, "leak: not a fraction from 0 to 1")
    share, gain = reset = leak if fields.take("immediate_reset", bool) else (1, 1)
    every = fields.take("every_step", bool)
    n, left = divmod(program.rows, steps if every else 1)
    expect(left == 0, f"every_step: {program.rows} rows are not of {steps} steps each")
    data = fields.integers("data", n * steps * inputs, MOST_BITS)
    samples = chunks(chunks(data, inputs), steps)
    neurons = chunks(fields.integers("witnesses", listed * (inputs + 1), MOST_BITS), inputs + 1)
    expect(all(theta > 0 for *_, theta in neurons), "witnesses: a threshold is not above 0")
    words = f"one-hidden-layer LIF network read at {'each' if every else 'the last'} of {steps} "
    words += f"steps\n  with u[t] = {num}/{den} u[t-1] + x[t].p - {share}/{gain} theta s[t-1], "
    words += f"s[t] = 1{{u[t] >= theta}}, u = s = 0 at first, p in R^{inputs}, theta > 0"
    patterns = fired(samples, leak, reset, neurons, work)
    return words, data, patterns, lambda: Trie(samples, leak, reset, work).count()


CLASSES = {"threshold": read_threshold, "lif": read_lif}


def matched(patterns: Iterator[str], columns: Iterator[tuple[int, int]], rows: int) -> int:
    """Count the patterns, refused unless they are distinct and their last rows are the columns."""
    seen, used = set[int](), {0: 0}  # the zero column adds nothing to a network
    for j, text in enumerate(patterns):
        seen.add(int(text, 2))
        expect(len(seen) > j, f"witness {j} fires the pattern of an earlier witness")
        used.setdefault(int(text[:rows], 2), j)  # the last step, if only that is read
    found = {0} | {column if column in used else -1 for _, column in columns}
    first = min((used[column] for column in used.keys() - found), default=None)
    expect(first is None, f"witness {first} fires a pattern that the columns lack")
    expect(-1 not in found, "no witness fires one of the columns")
    return len(seen)


def prove(archive: zipfile.ZipFile, program: checker.Program) -> str:
    """Prove the statement of an opened file about a whole class, or raise Refused.

    ``program`` is the statement that the checker has proven of the same archive. Returns the
    statement about the class in words.
    """
    expect(NAME in archive.namelist(), f"no {NAME}: the file is about its columns only")
    expect(archive.getinfo(NAME).file_size <= MOST_BYTES, f"{NAME}: too large")
    text, work = archive.read(NAME), Work()
    # an entry takes up to 200 bytes, a nested list or object more
    work.spend(8 * text.count(b",") + 1000 * (text.count(b"[") + text.count(b"{")))
    fields = checker.Fields(checker.parsed(text, NAME), "completeness")
    expect(fields.take("version", int) == 1, "version: this checker reads 1")
    expect((kind := fields.take("class", str)) in CLASSES, f"class: none of {[*CLASSES]}")
    words, data, patterns, count = CLASSES[kind](fields, program, work)
    fields.end()
    found = matched(patterns, checker.columns(archive, program), program.rows)
    expect(found == (most := count()), f"{found} patterns are listed, {most} are counted")
    digest = hashlib.sha256(" ".join(map(str, data)).encode("ascii")).hexdigest()
    gap = checker.decimal(program.claims["gap"], program.bound_bits, "ROUND_CEILING")
    dual = checker.decimal(program.claims["dual"], program.bound_bits, "ROUND_FLOOR")
    return (
        f"no {words},\n  of any width, has an objective below {dual}: "
        f"none does better than the one in this file by more than {gap}\n"
        f"  inputs: integers with SHA-256 {digest}\n"
        f"  all {most} patterns that one neuron can fire are listed, and there are no more\n"
        f"  {checker.statement(program, 'the complete dictionary')}"
    )


def check(path: str) -> str:
    """Prove the statement of a file about a whole class, or raise Refused with the first failure.

    Returns the statement in words.
    """
    with checker.opened(path) as archive:
        return prove(archive, checker.prove(archive))


def main(paths: Sequence[str]) -> int:
    """Check every file; the exit status is that of the checker."""
    return checker.main(paths, check, "completeness.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
