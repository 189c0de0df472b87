"""Prove that a certificate is about every network of a class: ``python completeness.py FILE...``.

checker.py, which has to lie beside this file, proves bounds over the columns of a file.
This one proves of the same file, from its ``completeness.json``, that the columns are all
that one hidden neuron of a class can fire on the inputs in it. A network of one hidden
layer, of any width, is a weighted sum of such columns, so that the lower bound holds for all
of them. There are two classes:

    threshold   1{x.h >= 0} for rows x of the inputs, h any real numbers;
    lif         u[t] = leak u[t-1] + x[t].p - r theta s[t-1],  s[t] = 1{u[t] >= theta},  from
                u = s = 0, p any two (or one) real numbers, theta > 0, read at the last step
                or at every step; r is 1 (delayed reset) or leak (immediate).

The proof is a list and a count. Every pattern listed has a neuron in integers, which is
evaluated here and has to fire it; the patterns are distinct; and there cannot be more
of them than are listed. That number is not taken from the file but counted:

*Threshold.* Of all h with some pattern take one with the fewest rows x.h = 0, and let F be
these. If some g had x.g >= 0 on F, and not 0 on all of F, h + eps g with a small eps > 0 would
have the same pattern and fewer zeros. So F has no such g; it is a flat, holding all rows in its
span; and the pattern is told by F and the open cell of the other rows, restricted to the
h orthogonal to F, that this h lies in. Hence the patterns are at most the sum of these cells
over the flats without g. Flats of independent rows have one; one h0 with x.h0 >= 0 for all rows
is a g for every flat that holds a row with x.h0 > 0, which with a bias are all but the empty
one; the file may give others; whatever flats remain are counted. Open cells are counted by

    r(A) = 1 + sum_i r(A_1, ..., A_(i-1) on the hyperplane of A_i),

with parallel rows merged: the row A_i cuts as many cells in two as it has cells itself.

*LIF.* Scaling p up makes every tie u = theta strict, so patterns are those of open cells. A
node is a distinct beginning of an input sequence; given its own spikes before, h, a neuron
fires at node k where c_k.p >= w_h theta, one side of a line in the plane theta = 1. Node after
node, each line cuts as many of the cells with this h in two as the nodes before k leave
intervals of it with this h; none where a node before k has the very same line.

Integers only; nothing but the standard library. Beyond what checker.py takes, no file takes
more than about a minute and 1 GB: whatever is made or computed is first paid for, by its size,
and files that take more than ``MOST_WORK`` are refused.
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
except ImportError:  # a script beside it, where even ``python -I`` shall look
    sys.path.insert(0, str(Path(__file__).parent))
    import checker  # type: ignore[import-not-found, no-redef]

MOST_BYTES = 3 << 24  # of completeness.json: 48 MiB
MOST_BITS = 1024  # of an input or an entry of a witness
MOST_SIZE = 16  # inputs, and steps: the depth of recursion
MOST_WORK = 20_000_000  # an entry of a restricted row is one: some 3 microseconds, 30 bytes

Refused, expect, NAME = checker.Refused, checker.expect, checker.EXTRA_NAME
Row = tuple[int, ...]
Rows = list[Row]


class Work:
    """What may still be spent on counting, and the arrangements counted so far."""

    def __init__(self) -> None:
        self.left, self.known = MOST_WORK, dict[frozenset[Row], int]()

    def spend(self, amount: int, bits: int = 0) -> None:
        """Pay for so many gcds of integers of so many bits; refuse the file when all is spent."""
        self.left -= amount * (1 + (bits >> 9) ** 2)
        expect(self.left >= 0, f"checking takes more than {MOST_WORK} steps")


# what neurons fire


def fired(samples: list[Rows], leak: Row, reset: Row, neurons: Rows, work: Work) -> Iterator[str]:
    """What each neuron (p, theta) fires, as a text of bits: the last step first, row n - 1 first.

    With T steps, leak = num / den, r = share / gain and v[t] = gain den^(T-1) u[t],

        v[t] = num / den v[t-1] + den^(T-1) (gain x[t].p - share theta s[t-1]),

    where the division leaves no remainder. All n rows are computed at once, as ``top``
    bits each of one integer: sums and multiples of it are those of all rows.
    """
    (num, den), (share, gain) = leak, reset
    n, steps, inputs = len(samples), len(samples[0]), len(samples[0][0])
    unit: int = den ** (steps - 1)
    size, digits = width(x for sample in samples for x in sample), width(neurons)
    # |u| is at most the sum of what comes in, and theta is subtracted from it
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


# how many threshold patterns there are at most


def shortest(row: Sequence[int]) -> Row:
    """The shortest positive multiple of a row."""
    divisor = gcd(*row) or 1
    return tuple([x // divisor for x in row])


def line(row: Row) -> Row:
    """Of a shortest row and its negative the one that is above 0."""
    return row if row > (0,) * len(row) else tuple([-x for x in row])


def width(rows: Iterable[Row]) -> int:
    """Bits of the largest entry."""
    return max((max(max(row), -min(row)) for row in rows), default=0).bit_length()


def restrict(rows: Rows, normal: Row, work: Work) -> Rows:
    """The rows on the hyperplane of a line, one coordinate of which is eliminated; shortest."""
    work.spend(1 + len(rows) * (1 + len(normal)), width(rows) + width([normal]))
    at = next(j for j, x in enumerate(normal) if x)  # where a line is above 0
    others = normal[:at] + normal[at + 1 :]
    rest = ((row[at], zip(row[:at] + row[at + 1 :], others, strict=True)) for row in rows)
    return [shortest([normal[at] * x - first * y for x, y in pairs]) for first, pairs in rest]


def cells(all_rows: Rows, work: Work) -> int:
    """Open cells of the hyperplanes of shortest rows."""
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

    A flat is told by the distinct rows in it: bit i is the i-th of all that are not 0, in
    order of first appearance, positive multiples being the same. ``separator(flat)``
    returns a g for it, or None.
    """
    distinct = list(dict.fromkeys(shortest(row) for row in rows if any(row)))
    heights = [sum(map(mul, row, h0)) for row in distinct]
    expect(min(heights, default=0) >= 0, "h0: x.h0 is below 0 for a row of the inputs")
    # h0 is a g for every flat with other rows than these
    inside = [i for i, height in enumerate(heights) if height == 0]
    span, rest = 0, [distinct[i] for i in inside]
    while any(map(any, rest)):
        rest, span = restrict(rest, line(next(filter(any, rest))), work), span + 1
    level, rank, total = dict[int, Any]({0: None}), 0, 0  # what restrict takes
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
            # beyond a flat of rank span - 1 there is only that of all rows inside
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


# how many trajectories of a LIF neuron with two inputs there are


class Trie:
    """The distinct beginnings of sequences of two inputs, shorter ones first, from the empty one.

    Node k fires where drives[k].p >= (bar + share R) theta; R is 0 at the first step, and
    num / den R + unit s at the next one, s being the node's spike.
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
        """R at the next step."""
        return self.num * reset // self.den + self.unit * spike

    def count(self) -> int:
        """One cell, and one more whenever a line cuts one in two."""
        total, bits = 1, 2 * width(self.drives)
        for k, (x, y) in enumerate(self.drives):
            self.work.spend((k + 1) << (len(self.paths[k]) if x or y else 0), bits)
            along = tuple(x * a + y * b for a, b in self.drives[: k + 1])
            across = tuple(x * b - y * a for a, b in self.drives[: k + 1])
            # the empty beginning never fires; nor does a node without drive
            for history in product((0, 1), repeat=len(self.paths[k]) - 1) if x or y else ():
                total += self.intervals(k, (0, *history), along, across, bits)
        return total

    def intervals(self, k: int, history: Row, along: Row, across: Row, bits: int) -> int:
        """Intervals into which nodes before k cut the part of a line of k with this history.

        At the point p = (w (x, y) + z (-y, x)) / (x^2 + y^2) of the line, (x, y) being the
        drive of k and w its bar, node j fires if w along_j + z across_j >= w_j along_k. A
        number z is a pair: top / bottom, bottom > 0, or (-1, 0) and (1, 0) for the ends.
        """
        path, resets = self.paths[k], list(accumulate(history, self.after, initial=0))
        w = self.bar + self.share * resets[-1]

        def parts(node: int, reset: int, left: Row, right: Row) -> list[tuple[bool, Row, Row]]:
            """The spikes of a node from left to right; none where its line is the same."""
            self.work.spend(1, bits)
            top, slope = (self.bar + self.share * reset) * along[k] - w * along[node], across[node]
            # fires on the right of z, or else on its left; parallel to it z is an end
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
    """Whether one number is below another; (-1, 0) is below all others, (1, 0) above."""
    return z[0] * other[1] < other[0] * z[1] or (z, other) == ((-1, 0), (1, 0))


# the file


def chunks(values: Sequence[Any], size: int) -> list[Any]:
    """The values, so many at a time."""
    return [tuple(values[i : i + size]) for i in range(0, len(values), size)]


def read_threshold(fields: checker.Fields, program: checker.Program, work: Work) -> tuple[Any, ...]:
    """The class in words, its data, what the neurons listed fire, and what counts patterns."""
    inputs, listed = fields.integer("inputs", 1, MOST_SIZE), fields.integer("listed", 0, 1 << 32)
    rows = chunks(data := fields.integers("data", program.rows * inputs, MOST_BITS), inputs)
    h0 = tuple(fields.integers("h0", inputs, MOST_BITS))
    witnesses = chunks(fields.integers("witnesses", listed * inputs, MOST_BITS), inputs)
    size = fields.integer("separated", 0, 1 << 32) * (inputs + 1)
    known = chunks(fields.integers("separators", size, checker.MOST_BITS), inputs + 1)
    separators = {flat: tuple(g) for flat, *g in known}
    words = f"two-layer threshold network\n  with neurons 1{{x.h >= 0}}, h in R^{inputs}, x a row"
    # a neuron that forgets all, with threshold 0
    patterns = fired([[row] for row in rows], (0, 1), (0, 1), [(*h, 0) for h in witnesses], work)
    return words, data, patterns, lambda: most_patterns(rows, h0, separators.get, work)


def read_lif(fields: checker.Fields, program: checker.Program, work: Work) -> tuple[Any, ...]:
    """The same of LIF neurons, for whole trajectories."""
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
    """How many patterns there are, refused unless they are distinct and end as the columns."""
    seen, used = set[int](), {0: 0}  # the zero column adds nothing to a network
    for j, text in enumerate(patterns):
        seen.add(int(text, 2))
        expect(len(seen) > j, f"witness {j} fires what an earlier one fires")
        used.setdefault(int(text[:rows], 2), j)  # the last step, where that alone is read
    found = {0} | {column if column in used else -1 for _, column in columns}
    first = min((used[column] for column in used.keys() - found), default=None)
    expect(first is None, f"witness {first} fires what is no column")
    expect(-1 not in found, "a column is fired by no witness")
    return len(seen)


def check(path: str) -> str:
    """Prove what a file states of a whole class, or raise Refused with what fails.

    Returns the statement in words.
    """
    program = checker.check(path)
    try:
        with checker.open_archive(path) as archive:
            expect(NAME in archive.namelist(), f"no {NAME}: nothing global")
            expect(archive.getinfo(NAME).file_size <= MOST_BYTES, f"{NAME}: too large")
            text, work = archive.read(NAME), Work()
            # an entry takes up to 200 bytes, what is nested more
            work.spend(8 * text.count(b",") + 1000 * (text.count(b"[") + text.count(b"{")))
            fields = checker.Fields(checker.read_json(archive, NAME), "completeness")
            expect(fields.take("version", int) == 1, "version: this checker reads 1")
            expect((kind := fields.take("class", str)) in CLASSES, f"class: not of {[*CLASSES]}")
            words, data, patterns, count = CLASSES[kind](fields, program, work)
            fields.end()
            found = matched(patterns, checker.columns(archive, program), program.rows)
    except (OSError, EOFError, zipfile.BadZipFile, ValueError, RuntimeError) as error:
        raise Refused(f"not a readable certificate: {error}") from None
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


def main(paths: Sequence[str]) -> int:
    """Check every file; exit status 1 if one is refused, 2 without files."""
    if not paths:
        print("usage: python completeness.py FILE...", file=sys.stderr)
        return 2
    refused = False
    for path in paths:
        try:
            print(f"PROVEN {checker.shown(path)}: {check(path)}")
        except Refused as reason:
            print(f"REFUSED {checker.shown(path)}: {reason}")
            refused = True
    return int(refused)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
