"""Check a bidual certificate with nothing but Python: ``python checker.py FILE...``.

A certificate is about one convex program over a 0/1 matrix D (N rows, P atoms),

    minimise over W (P, C), b (C,)   sum_i a_i loss((D W + b)_i, y_i) + strength * norm(W),

It makes two statements: the weights in the file have an objective of at most ``primal``,
and no weights have an objective below ``dual``. The lower bound is weak duality: for all
numbers V (N, C) that keep the constraints checked here,

    sum_i a_i loss(z_i, y_i) + strength norm(W)  >=  -sum_i (a_i loss)*(-V_i),

for every W and b, where * is the convex conjugate, because

    a_i loss(z_i, y_i) + (a_i loss)*(-V_i)  >=  -V_i'z_i        (Fenchel and Young),
    sum_i V_i'z_i = sum_j (D'V)_j'W_j + b'sum_i V_i,
    strength norm(W_j) >= (D'V)_j'W_j   where the dual norm of (D'V)_j is at most strength,
    sum_i V_i = 0                       if the program has an intercept b.

Every number of a file is an integer over a power of two, and the checker computes with
integers alone. Sums are exact. Quotients are rounded to the side that weakens the
statement. Only the logistic and softmax losses need logarithms and exponentials: the
module ``decimal`` rounds its ``ln`` and ``exp`` correctly to 40 digits, and the checker
then moves the results outward. The checker computes all four values of a file anew and
compares them with the integers that the file claims.

docs/certificate_format.md describes the format. This file imports nothing but the
standard library. The file is long because you can copy it, read it and run it alone.
"""

import hashlib
import json
import os
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from math import isqrt
from typing import IO, Any

LOG_BITS = 48  # logarithms and exponentials are enclosed between multiples of 2^-48
MOST_BITS = 4096  # the most bits of a number of a file, and of its scale
MOST_SOLVED_BITS = 128  # the most bits of weights and dual points, which columns add up
MOST_STATEMENT_BYTES = 1 << 27  # reading them takes up to 40 times as much memory
MOST_WORK = 1 << 30  # steps of about 0.3 microseconds, five minutes; see work()
LARGEST = 1 << MOST_BITS
CLAIMS = ("primal", "dual", "gap", "reference")
LOSSES = ("squared", "absolute", "huber", "hinge", "squared_hinge", "logistic", "softmax")
LABEL_LOSSES = ("hinge", "squared_hinge", "logistic")
LOGS = {"logistic": 7, "softmax": 7}  # the most logarithms and exponentials of an entry of V
PENALTIES = ("l1", "group")
NAMES = ("statement.json", "columns.bin")
EXTRA_NAME = "completeness.json"  # completeness.py checks it
ZIP_ERRORS = (zipfile.BadZipFile, zipfile.LargeZipFile, struct.error, EOFError)
FAILURES = (*ZIP_ERRORS, OSError, MemoryError, ValueError, RuntimeError, ArithmeticError)

_EXACT = Context(prec=40)
_WIDE = Context(prec=70)


class Refused(Exception):
    """The reason why a file proves nothing."""


def expect(holds: bool, what: str) -> None:
    """Refuse the file, for the reason ``what``, unless the condition holds."""
    if not holds:
        raise Refused(what)


def shown(text: object) -> str:
    """Return a text from a file or a caller as one line of ASCII."""
    return ascii(text)[1:-1][:200] if isinstance(text, str) else ascii(text)[:200]


# integers over powers of two


def floor_shift(x: int, bits: int) -> int:
    """Return the largest integer <= x / 2^bits; bits may be negative."""
    return x >> bits if bits >= 0 else x << -bits


def ceil_shift(x: int, bits: int) -> int:
    """Return the smallest integer >= x / 2^bits."""
    return -floor_shift(-x, bits)


def enclosed(value: Decimal) -> tuple[int, int]:
    """Enclose 2^LOG_BITS times a number of 40 digits between two integers."""
    scaled = _WIDE.multiply(value, Decimal(1 << LOG_BITS))
    room = Decimal("1e-15")  # below 1e19, 40 digits have an error below 1e-20
    low = _WIDE.subtract(scaled, room).to_integral_value(ROUND_FLOOR)
    return int(low), int(_WIDE.add(scaled, room).to_integral_value(ROUND_CEILING))


@lru_cache(1 << 10)  # rows often have the same weight
def integer_log(x: int) -> tuple[int, int]:
    """Enclose 2^LOG_BITS ln(x) between two integers, for an integer x >= 1; exact only at 1."""
    return (0, 0) if x == 1 else enclosed(_EXACT.ln(Decimal(x)))


def integer_exp(x: int, bits: int) -> tuple[int, int]:
    """Enclose 2^LOG_BITS exp(-x / 2^bits) between two integers, for x >= 0; exact only at 0."""
    if x == 0:
        return 1 << LOG_BITS, 1 << LOG_BITS
    if floor_shift(x, bits) >= 64:  # exp(-64) < 2^-92
        return 0, 1
    if bits >= 0 and x << (LOG_BITS + 1) <= 1 << bits:  # less than half a unit below 1
        return (1 << LOG_BITS) - 1, 1 << LOG_BITS
    power = _EXACT.divide(Decimal(x), Decimal(1 << bits)) if bits >= 0 else Decimal(x << -bits)
    low, high = enclosed(_EXACT.exp(power.copy_negate()))  # a power below 65
    return max(low, 0), high


# losses: the objective of a row, from above and below, and its conjugate, from below


def log_sum(distances: Sequence[int], bits: int, upper: bool) -> int:
    """Bound 2^LOG_BITS ln(sum of exp(-x / 2^bits)), which is >= 0 since one x is 0."""
    total = sum(integer_exp(x, bits)[upper] for x in distances)
    low, high = integer_log(total), integer_log(1 << LOG_BITS)
    return low[1] - high[0] if upper else max(low[0] - high[1], 0)


def row_loss(program: "Program", i: int, fits: Sequence[int], upper: bool) -> int:
    """Bound 2^bound_bits a_i loss(z_i, y_i) by an integer, above if ``upper`` and else below.

    ``fits`` are the row's C integers over 2^weight_bits.
    """
    loss, k = program.loss, program.weight_bits
    a, a_bits = program.row_weights[i], program.row_weight_bits
    shift = ceil_shift if upper else floor_shift
    targets = program.targets[i]
    if loss == "softmax":
        largest = max(fits)
        m = max(LOG_BITS, k)
        distances = [largest - z for z in fits]
        value = log_sum(distances, k, upper) << (m - LOG_BITS)
        value += distances[targets.index(1)] << (m - k)
        return shift(a * value, a_bits + m - program.bound_bits)
    total = 0
    for z, y in zip(fits, targets, strict=True):
        if loss == "logistic":  # ln(1 + exp(-yz)) = ln(1 + exp(-|yz|)) + max(0, -yz)
            bits = max(LOG_BITS, k)
            value = log_sum((0, abs(z)), k, upper) << (bits - LOG_BITS)
            value += max(0, -y * z) << (bits - k)
        elif loss in LABEL_LOSSES:  # the margin max(0, 1 - yz)
            bits = max(k, 0)
            value = max(0, (1 << bits) - (y * z << (bits - k)))
            if loss == "squared_hinge":
                value, bits = value * value, 2 * bits + 1
        else:
            bits = max(k, program.target_bits)
            value = abs((z << (bits - k)) - (y << (bits - program.target_bits)))
            if loss == "squared":
                value, bits = value * value, 2 * bits + 1
            elif loss == "huber":  # r^2 / 2 up to delta, then delta (r - delta / 2)
                delta, d_bits = program.delta
                m = max(bits, d_bits)
                r, d = value << (m - bits), delta << (m - d_bits)
                value, bits = (r * r if r <= d else d * (2 * r - d)), 2 * m + 1
        total += shift(a * value, a_bits + bits - program.bound_bits)
    return total


def row_bound(program: "Program", i: int, dual: Sequence[int]) -> int:
    """Bound -2^bound_bits (a_i loss)*(-V_i) from below; refuse a V_i outside its domain.

    ``dual`` are the row's C integers over 2^dual_bits.
    """
    loss, k, y_bits = program.loss, program.dual_bits, program.target_bits
    a, a_bits = program.row_weights[i], program.row_weight_bits
    targets = program.targets[i]
    common = max(k, a_bits)
    mass = a << (common - a_bits)  # a_i and V_i over the same power of two
    sizes = [v << (common - k) for v in dual]
    if a == 0:
        expect(not any(dual), f"V is not 0 in row {i}, whose weight is 0")
        return 0
    if loss == "softmax":  # V = a (one-hot - Q), Q a distribution; the bound is a times its entropy
        expect(sum(dual) == 0, f"V does not sum to 0 in row {i}")
        parts = [mass * y - v for v, y in zip(sizes, targets, strict=True)]
        expect(min(parts) >= 0, f"V is outside its domain in row {i}")
        return entropy(parts, mass, common, program.bound_bits)
    total = 0
    for c, (v, y) in enumerate(zip(sizes, targets, strict=True)):
        where = f"V is outside its domain in row {i}, output {c}"
        if loss == "logistic":  # a times the entropy of yV / a
            parts = [y * v, mass - y * v]
            expect(min(parts) >= 0, where)
            total += entropy(parts, mass, common, program.bound_bits)
            continue
        # yV, and minus V^2 / 2a for losses that are quadratic somewhere
        expect(loss not in LABEL_LOSSES or y * v >= 0, where)
        expect(loss not in ("hinge", "absolute") or abs(v) <= mass, where)
        if loss == "huber":
            delta, d_bits = program.delta
            expect(abs(v) <= floor_shift(mass * delta, d_bits), where)
        if loss in ("hinge", "absolute"):
            total += floor_shift(v * y, common + y_bits - program.bound_bits)
        else:
            # (2 mass v y 2^-y_bits - v^2) / (2 mass), over 2^common
            m = max(y_bits, 0)
            over = (2 * mass * v * y << (m - y_bits)) - (v * v << m)
            total += floor_shift(over, 1 + m + common - program.bound_bits) // mass
    return total


def entropy(parts: Sequence[int], whole: int, bits: int, bound_bits: int) -> int:
    """Bound 2^bound_bits sum of part ln(whole / part) from below, parts >= 0 over 2^bits."""
    low = integer_log(whole)[0]
    value = sum(part * max(low - integer_log(part)[1], 0) for part in parts if part)
    return floor_shift(value, bits + LOG_BITS - bound_bits)


# the file


class Program:
    """The contents of ``statement.json``, of which only ranges and lengths are checked."""

    sha256 = ""  # of statement.json, once the file is checked

    def __init__(self, statement: Any) -> None:
        fields = Fields(statement, "statement")
        expect(fields.take("format", str) == "bidual-certificate", "format: not bidual-certificate")
        expect(fields.take("version", int) == 1, "version: this checker reads 1")
        self.rows = fields.integer("rows", 1, 1 << 40)
        self.atoms = fields.integer("atoms", 1, 1 << 40)
        self.outputs = fields.integer("outputs", 1, 1 << 20)
        self.loss = fields.take("loss", str)
        self.penalty = fields.take("penalty", str)
        expect(self.loss in LOSSES, f"loss: not one of {', '.join(LOSSES)}")
        expect(self.penalty in PENALTIES, f"penalty: not one of {', '.join(PENALTIES)}")
        self.delta = fields.dyadic("delta") if self.loss == "huber" else (1, 0)
        expect(self.delta[0] > 0, "delta: not above 0")
        self.intercept = fields.take("intercept", bool)
        self.strength = fields.dyadic("strength")
        self.columns_sha256 = fields.take("columns_sha256", str)

        n, count = self.rows, self.rows * self.outputs
        self.row_weights, self.row_weight_bits = fields.scaled("row_weights", n, MOST_BITS)
        expect(min(self.row_weights) >= 0, "row_weights: one is below 0")
        targets, self.target_bits = fields.scaled("targets", count, MOST_BITS)
        self.targets = self.by_row(targets)
        self.check_targets()

        part = fields.part("weights")
        self.weight_bits = part.bits()
        self.weights = self.checked_entries(part.take("entries", list))
        self.offsets = part.integers("intercept", self.outputs, MOST_SOLVED_BITS)
        self.null_offsets = part.integers("null_intercept", self.outputs, MOST_SOLVED_BITS)
        part.end()
        none = not any(self.offsets + self.null_offsets)
        expect(self.intercept or none, "weights: an intercept, though the program has none")
        dual_point, self.dual_bits = fields.scaled("dual_point", count, MOST_SOLVED_BITS)
        self.dual_point = self.by_row(dual_point)

        part = fields.part("bounds")
        self.bound_bits = part.bits()
        self.claims = {name: part.integer(name, -LARGEST, LARGEST) for name in CLAIMS}
        part.end()
        fields.end()

    def by_row(self, integers: list[int]) -> list[list[int]]:
        """Split a list of entries into the rows of an array."""
        return [integers[i : i + self.outputs] for i in range(0, len(integers), self.outputs)]

    def check_targets(self) -> None:
        """Refuse targets that the loss does not take."""
        if self.loss in LABEL_LOSSES or self.loss == "softmax":
            expect(self.target_bits == 0, "targets: labels have bits 0")
        if self.loss in LABEL_LOSSES:
            fine = all(y in (-1, 1) for row in self.targets for y in row)
            expect(fine, "targets: the loss takes -1 and 1")
        if self.loss == "softmax":
            ones = [0] * (self.outputs - 1) + [1]
            fine = all(sorted(row) == ones for row in self.targets)
            expect(fine, "targets: softmax takes rows with a single 1")

    def checked_entries(self, entries: list[Any]) -> dict[int, dict[int, int]]:
        """Return {atom: {output: integer}} of ordered entries [atom, output, integer]."""
        found: dict[int, dict[int, int]] = {}
        before = -1, -1
        for entry in entries:
            expect(isinstance(entry, list) and len(entry) == 3, "weights: an entry is not a triple")
            expect(all(type(x) is int for x in entry), "weights: an entry is not of integers")
            atom, output, value = entry
            expect(before < (atom, output), "weights: entries are not in order, or one comes twice")
            expect(0 <= atom < self.atoms and 0 <= output < self.outputs, "weights: no such entry")
            expect(0 < abs(value) < 1 << MOST_SOLVED_BITS, "weights: an entry is 0 or too large")
            found.setdefault(atom, {})[output] = value
            before = atom, output
        return found


class Fields:
    """A JSON object; the checker takes every field once and checks its type."""

    def __init__(self, values: Any, name: str) -> None:
        expect(type(values) is dict, f"{name}: not an object")
        self.values, self.name = dict(values), name

    def take(self, key: str, kind: type) -> Any:
        """Take a field, refused unless it has the type."""
        expect(key in self.values, f"{self.name}: {key} is missing")
        value = self.values.pop(key)
        expect(type(value) is kind, f"{key}: not of type {kind.__name__}")
        return value

    def integer(self, key: str, least: int, most: int) -> int:
        """Take an integer, refused unless it is from ``least`` to ``most``."""
        value: int = self.take(key, int)
        expect(least <= value <= most, f"{key}: {shown(value)} is out of range")
        return value

    def bits(self) -> int:
        """Take the exponent of the power of two by which integers are divided."""
        return self.integer("bits", -MOST_BITS, MOST_BITS)

    def integers(self, key: str, count: int, most_bits: int) -> list[int]:
        """Take a list of ``count`` integers, each of at most ``most_bits`` bits."""
        values: list[int] = self.take(key, list)
        expect(len(values) == count, f"{self.name}.{key}: {len(values)} entries, not {count}")
        fine = all(type(x) is int and x.bit_length() <= most_bits for x in values)
        expect(fine, f"{self.name}.{key}: an entry is not an integer of at most {most_bits} bits")
        return values

    def scaled(self, key: str, count: int, most_bits: int) -> tuple[list[int], int]:
        """Take a list of integers and the exponent of their power of two."""
        part = self.part(key)
        bits, values = part.bits(), part.integers("integers", count, most_bits)
        part.end()
        return values, bits

    def dyadic(self, key: str) -> tuple[int, int]:
        """Take a number >= 0 as an integer and the exponent of its power of two."""
        part = self.part(key)
        bits, value = part.bits(), part.integer("integer", 0, LARGEST)
        part.end()
        return value, bits

    def part(self, key: str) -> "Fields":
        """Take an object inside this one."""
        return Fields(self.take(key, dict), key)

    def end(self) -> None:
        """Refuse fields that the format does not have."""
        expect(not self.values, f"{self.name}: unknown fields {shown(sorted(self.values))}")


def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object, refused if a key occurs twice."""
    found = dict(pairs)
    expect(len(found) == len(pairs), "a JSON object has a key twice")
    return found


def small_integer(digits: str) -> int:
    """Read a JSON integer, refused before it takes long if it has too many digits."""
    expect(len(digits) <= MOST_BITS // 3, "an integer has too many digits")
    return int(digits)


def refuse_number(text: str) -> None:
    """Refuse decimal numbers, infinities and NaN, which a certificate must not contain."""
    raise Refused(f"{shown(text[:20])} is not an integer")


def parsed(text: bytes, name: str) -> Any:
    """Read the JSON of an archive entry, whose numbers must all be integers."""
    try:
        hooks: Any = {"parse_float": refuse_number, "parse_constant": refuse_number}
        hooks |= {"object_pairs_hook": no_duplicates, "parse_int": small_integer}
        return json.loads(text.decode("ascii"), **hooks)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{name}: not JSON ({error})") from None


@contextmanager
def opened(path: str) -> Iterator[zipfile.ZipFile]:
    """Open a certificate once, for all that is read of it; refuse it if anything goes wrong."""
    try:
        expect(os.path.isfile(path), "not a readable certificate: expected an existing file")
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            check_layout(archive, file)
            yield archive
    except FAILURES as error:
        raise Refused(f"not a readable certificate: {shown(str(error))}") from None


def check_layout(archive: zipfile.ZipFile, file: IO[bytes]) -> None:
    """Refuse a zip file unless it stores the expected entries, and no byte between or around them.

    Other readers of zip files then find the same entries.
    """
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    names = sorted(info.orig_filename for info in infos)
    fine = names in (sorted(NAMES), sorted([*NAMES, EXTRA_NAME]))
    expect(fine, f"not the files of a certificate: {shown(names[:5])}")
    end, directory, count = 0, 0, len(infos)
    for info in infos:
        # an uncompressed entry cannot grow: reading takes no more memory than the file
        size = info.file_size
        stored = info.compress_type == zipfile.ZIP_STORED and size == info.compress_size
        expect(stored and info.flag_bits == 0, f"{info.filename}: compressed or encrypted")
        file.seek(end)
        head, extra, info.extra = file.read(80), info.extra, b""
        local = info.FileHeader(zip64=head[18:22] == b"\xff" * 4)  # as the directory has it
        fine = head.startswith(local) and len(extra) <= 28 * (end + size >> 31 > 0)
        expect(fine and end == info.header_offset, f"{info.filename}: not as the directory has it")
        end, directory = end + len(local) + size, directory + 46 + len(info.filename) + len(extra)
    tail = struct.pack("<4s4H2L", b"PK\5\6", 0, 0, count, count, directory, min(end, (1 << 32) - 1))
    file.seek(end + directory)
    rest = file.read(99)[76 * (end >> 31 > 0) :]  # after records of 64 bits
    expect(rest == tail + bytes(2) and end == archive.start_dir, "bytes that belong to no entry")


def columns(archive: zipfile.ZipFile, program: Program) -> Iterator[tuple[int, int]]:
    """Yield every column of D as an integer whose bit i is row i; refuse another digest."""
    size = -(-program.rows // 8)
    found = archive.getinfo("columns.bin").file_size
    expect(found == size * program.atoms, f"columns.bin: {found} bytes, not {size * program.atoms}")
    digest = hashlib.sha256(b"%d %d\n" % (program.rows, program.atoms))
    with archive.open("columns.bin") as file:
        for j in range(program.atoms):
            packed = file.read(size)
            digest.update(packed)
            column = int.from_bytes(packed, "little")
            expect(not column >> program.rows, f"columns.bin: column {j} has bits past its rows")
            yield j, column
        expect(not file.read(1), "columns.bin: too long")  # this read checks its CRC
    expect(digest.hexdigest() == program.columns_sha256, "columns.bin: not the digest stated")


def bit_planes(values: list[int]) -> tuple[list[int], int]:
    """Return, for every p, the integer whose bit i is bit p of values[i] + offset; and offset."""
    offset = max(0, -min(values))
    width = max(value + offset for value in values).bit_length()
    digits = [format(value + offset, f"0{width}b") for value in reversed(values)]
    return [int("".join(plane), 2) for plane in zip(*digits, strict=True)][::-1], offset


def work(program: Program) -> int:
    """Count the steps of recompute(); a step takes as long as a plane of up to 2048 rows.

    A logarithm or an exponential takes 300, a row 40, reading a column 30. Products and
    quotients of long numbers take the square of their length.
    """
    scales = [0, program.row_weight_bits, program.target_bits, program.weight_bits]
    scales += [program.dual_bits, program.bound_bits, program.delta[1]]
    numbers = [program.delta[0], *program.row_weights, *(max(y, key=abs) for y in program.targets)]
    square = (max(x.bit_length() for x in numbers) + max(scales) - min(scales) >> 8) ** 2
    entry = 40 + 2 * square + LOGS.get(program.loss, 0) * (300 + square)
    widths = [(max(v) - min(0, *v)).bit_length() for v in zip(*program.dual_point, strict=True)]
    column: int = 30 + sum(2 + width * (1 + (program.rows >> 11)) for width in widths)
    added = program.rows * sum(map(len, program.weights.values()))
    return program.rows * program.outputs * entry + program.atoms * column + added


def recompute(archive: zipfile.ZipFile, program: Program) -> dict[str, int]:
    """Compute the four values of a file, as integers over 2^bound_bits."""
    n, outputs, k = program.rows, range(program.outputs), program.bound_bits
    planes = [bit_planes([row[c] for row in program.dual_point]) for c in outputs]
    strength, bits = program.strength
    group, shift = program.penalty == "group", bits - program.dual_bits
    # prices are integers: their norm, or its square, is at most the floor
    most = floor_shift(strength**2, 2 * shift) if group else floor_shift(strength, shift)
    for c in outputs if program.intercept else ():
        total = sum(row[c] for row in program.dual_point)
        expect(total == 0, f"V does not sum to 0 in output {c}, which has an intercept")
    fits = [[program.offsets[c]] * n for c in outputs]
    for j, column in columns(archive, program):
        prices = [
            sum((column & plane).bit_count() << p for p, plane in enumerate(bits))
            - offset * column.bit_count()
            for bits, offset in planes
        ]
        size = sum(s * s for s in prices) if group else max(map(abs, prices))
        expect(size <= most, f"V is not feasible: atom {j} has a price > strength")
        if j in program.weights:
            rows = [i for i, bit in enumerate(reversed(format(column, "b"))) if bit == "1"]
            for c, weight in program.weights[j].items():
                for i in rows:
                    fits[c][i] += weight
    by_row = list(zip(*fits, strict=True))
    primal = sum(row_loss(program, i, by_row[i], True) for i in range(n))
    used = [list(entries.values()) for entries in program.weights.values()]
    norm = sum(abs(weight) for row in used for weight in row)
    if group:
        norm = sum(isqrt(sum(weight * weight for weight in row) - 1) + 1 for row in used)
    primal += ceil_shift(strength * norm, bits + program.weight_bits - k)
    dual = sum(row_bound(program, i, program.dual_point[i]) for i in range(n))
    reference = sum(row_loss(program, i, program.null_offsets, False) for i in range(n))
    return {"primal": primal, "dual": dual, "gap": primal - dual, "reference": reference}


def prove(archive: zipfile.ZipFile) -> Program:
    """Prove the statement of an opened file, or raise Refused with the first failure."""
    info = archive.getinfo("statement.json")
    expect(info.file_size <= MOST_STATEMENT_BYTES, "statement.json: too large")
    program = Program(parsed(text := archive.read(info), info.filename))
    program.sha256 = hashlib.sha256(text).hexdigest()
    steps = work(program)
    expect(steps <= MOST_WORK, f"too large for this checker: {steps} steps, not {MOST_WORK}")
    for name, value in recompute(archive, program).items():
        claim = program.claims[name]
        told = str(value) if value.bit_length() <= MOST_BITS else "a longer number"
        expect(claim == value, f"{name}: the file claims {claim}, the check gives {told}")
    return program


def check(path: str) -> Program:
    """Prove the statement of a file, or raise Refused with the first failure.

    Returns the Program of the file; its ``claims`` are proven.
    """
    with opened(path) as archive:
        return prove(archive)


def decimal(value: int, bits: int, rounding: str) -> str:
    """Write an integer over 2^bits in 12 digits, rounded in the given direction."""
    context = Context(prec=12, rounding=rounding)
    exact = Context(prec=4000).divide if bits >= 0 else Context(prec=4000).multiply
    return str(exact(Decimal(value), Decimal(1 << abs(bits))).normalize(context))


def statement(program: Program, over: str = "the dictionary") -> str:
    """State in words what the file proves."""
    claims, k = program.claims, program.bound_bits
    gap = decimal(claims["gap"], k, ROUND_CEILING)
    relative, up = "the objective at zero weights is 0 or rounds to it", Context(12, ROUND_CEILING)
    if claims["reference"] > 0:
        quotient = up.divide(Decimal(claims["gap"]), Decimal(claims["reference"]))
        relative = f"{quotient} of the objective at zero weights and the intercept in the file"
    delta = decimal(*program.delta, ROUND_HALF_EVEN)
    loss = program.loss + f" (delta {delta})" * (program.loss == "huber")
    return (
        f"the weights in this file are within {gap} of the best possible ({relative})\n"
        f"  their objective is at most        {decimal(claims['primal'], k, ROUND_CEILING)}\n"
        f"  no weights have one below         {decimal(claims['dual'], k, ROUND_FLOOR)}\n"
        f"  {loss} + {program.penalty}, {program.rows} rows, "
        f"{program.outputs} outputs, {'with' if program.intercept else 'no'} intercept, "
        f"strength {decimal(*program.strength, ROUND_HALF_EVEN)} to 12 digits\n"
        f"  over {over} of {program.atoms} atoms with SHA-256 {program.columns_sha256}\n"
        f"  on targets and row weights of the statement with SHA-256 {program.sha256}"
    )


def told(path: str) -> str:
    """Prove the statement of a file, and state it in words."""
    return statement(check(path))


def main(
    paths: Sequence[str], tell: Callable[[str], str] = told, script: str = "checker.py"
) -> int:
    """Check every file, and return the exit status.

    It is 0 if all are proven, 1 if one is refused, 2 without files, and 141, as of a closed
    pipe, if the results can't be written.
    """
    status = 0 if paths else 2
    try:
        print(end="" if paths else f"usage: python {script} FILE...\n", file=sys.stderr)
        for path in paths:
            try:
                print(f"PROVEN {shown(path)}: {tell(path)}")
            except Refused as reason:
                print(f"REFUSED {shown(path)}: {reason}")
                status = 1
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what Python still has to write
        return 141
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
