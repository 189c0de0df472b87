"""Certificate files for tests: made of small programs, taken apart, altered and put together.

``CORRUPTIONS`` is the table of what a checker has to refuse: every entry names the good
certificate that it spoils and what the refusal has to say. To add one: a line there.
"""

import hashlib
import importlib.util
import io
import json
import struct
import zipfile
from copy import deepcopy
from dataclasses import dataclass
from decimal import InvalidOperation
from functools import cache

import bidual as bd
from bidual.certificates import checker

from programs import random_program

CLAIMS = ("primal", "dual", "gap", "reference")
ROWS, ATOMS = 11, 6
SEED = 234  # with which one row of every program has weight 0, and none of the first four


def base_program(loss, group):
    """Plain and under l1; or under the group norm, with more outputs and an intercept."""
    outputs = 3 if loss == "softmax" else 1 + group
    penalty = "group" if group else "l1"
    return random_program(loss, group, outputs, SEED, 0.3, penalty=penalty, rows=ROWS, atoms=ATOMS)


PROGRAMS = {
    loss + (", group" if group else ""): base_program(loss, group)
    for loss in bd.LOSSES
    for group in (False, True)
}


@cache
def certificate(name):
    """The exact certificate of a base program's solution."""
    solution = bd.solve(PROGRAMS[name], "clarabel", gap=1e-7)
    return bd.certify(PROGRAMS[name], solution, exact=True)


@dataclass
class Parts:
    """What a certificate file holds: the statement as objects or as text, and the columns."""

    statement: dict
    columns: bytes
    text: str | bytes | None = None  # instead of the statement, where it is no JSON of ours

    def json(self):
        """What stands for the statement in the file."""
        return json.dumps(self.statement, separators=(",", ":")) if self.text is None else self.text

    def archive(self, compression=zipfile.ZIP_STORED, names=checker.NAMES, extra=()):
        """The bytes of a certificate file."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            for name, content in [*zip(names, (self.json(), self.columns), strict=False), *extra]:
                archive.writestr(zipfile.ZipInfo(name), content, compression)
        return file.getvalue()

    def mend_digest(self):
        """Make the digest that of the columns."""
        shape = self.statement["rows"], self.statement["atoms"]
        digest = hashlib.sha256(b"%d %d\n" % shape + self.columns)
        self.statement["columns_sha256"] = digest.hexdigest()

    def mend_claims(self):
        """Make claims what follows for one who checks neither form nor feasibility."""
        self.mend_digest()
        trusting = checker_module()
        trusting.expect = lambda holds, what: None
        try:
            program = trusting.Program(self.statement)
            with zipfile.ZipFile(io.BytesIO(self.archive())) as archive:
                self.statement["bounds"].update(trusting.recompute(archive, program))
        except InvalidOperation:
            pass  # the logarithm of a negative number: there is no number to claim

    def column(self, j):
        """The bytes of a column."""
        size = -(-ROWS // 8)
        return self.columns[size * j : size * (j + 1)]

    def keep(self, order):
        """Take some columns in some order."""
        self.columns = b"".join(self.column(j) for j in order)

    def used(self):
        """An atom with a weight."""
        return self.statement["weights"]["entries"][0][0]

    def unused(self):
        """An atom without one."""
        used = {entry[0] for entry in self.statement["weights"]["entries"]}
        return next(j for j in range(ATOMS) if j not in used)


def checker_module(source=None, name="a_checker"):
    """A copy of checker.py's module of its own, from its source or from a mutated tree."""
    spec = importlib.util.spec_from_file_location(name, checker.__file__)
    module = importlib.util.module_from_spec(spec)
    if source is None:
        spec.loader.exec_module(module)
    else:
        exec(compile(source, checker.__file__, "exec"), module.__dict__)
    return module


@cache
def _good(name, folder):
    path = folder / f"{name}.cert"
    certificate(name).save(path)
    return take_apart(path)


def good(name, folder):
    """The parts of a good certificate, to be altered."""
    return deepcopy(_good(name, folder))


def take_apart(path):
    """The parts of a file."""
    with zipfile.ZipFile(path) as archive:
        return Parts(json.loads(archive.read("statement.json")), archive.read("columns.bin"))


# what spoils a certificate; all change parts in place, or return the bytes of the file


def put(*path, value):
    """Put a value in a place."""

    def alter(parts):
        *holders, last = path
        place = parts.statement
        for key in holders:
            place = place[key]
        place[last] = value(place[last]) if callable(value) else value

    return alter


def add(*path, by=1):
    """Add to an integer."""
    return put(*path, value=lambda found: found + by)


def drop(*path):
    """Leave a field out."""

    def alter(parts):
        *holders, last = path
        place = parts.statement
        for key in holders:
            place = place[key]
        del place[last]

    return alter


def swap(*path, first=0, second=1):
    """Swap two entries of a list."""

    def exchanged(found):
        found = list(found)
        found[first], found[second] = found[second], found[first]
        return found

    return put(*path, value=exchanged)


def written(old, new):
    """Change the text of the statement."""

    def alter(parts):
        text = parts.json()
        assert old in text
        parts.text = text.replace(old, new, 1)

    return alter


def text(content):
    """Put another text in place of the statement."""

    def alter(parts):
        parts.text = content

    return alter


def then(*steps):
    """Do several."""

    def alter(parts):
        for step in steps:
            step(parts)

    return alter


def mended(*steps):
    """Alter, then make claims and digest match, so that nothing but what is wrong can be seen."""
    return then(*steps, Parts.mend_claims)


def columns(order, atoms=ATOMS):
    """Take columns in another order, of a function of the parts."""

    def alter(parts):
        parts.keep(order(parts))
        parts.statement["atoms"] = atoms

    return alter


def flip(which, bit=0):
    """Flip a bit of a column."""

    def alter(parts):
        place, size = which(parts), -(-ROWS // 8)
        changed = bytearray(parts.columns)
        changed[size * place + bit // 8] ^= 1 << bit % 8
        parts.columns = bytes(changed)

    return alter


def exchange_columns(parts):
    """An order in which one atom in use and one that is not have changed places."""
    one, other = parts.used(), parts.unused()
    return [{one: other, other: one}.get(j, j) for j in range(ATOMS)]


def finer(parts):
    """State bounds 60 bits finer, so that one part in 10^12 is many units."""
    parts.statement["bounds"]["bits"] += 60
    parts.mend_claims()


def understate(parts):
    """Take one part in 10^12 off the gap, and off the primal, from which it follows."""
    finer(parts)
    claims = parts.statement["bounds"]
    less = claims["gap"] // 10**12
    assert less > 0
    claims["gap"] -= less
    claims["primal"] -= less


def roomy(parts):
    """Make the strength so large that prices do not matter."""
    parts.statement["strength"]["integer"] *= 1 << 20


def rows_by_weight(parts):
    """The rows of positive weight first."""
    weights = parts.statement["row_weights"]["integers"]
    return sorted(range(ROWS), key=lambda i: weights[i] == 0)


def limit(parts, i):
    """The largest multiple of V's unit that is at most the weight of a row."""
    part, k = parts.statement["row_weights"], parts.statement["dual_point"]["bits"]
    return checker.floor_shift(part["integers"][i], part["bits"] - k)


def beyond(units):
    """Put V of one row, in terms of its label and weight, one unit beyond the domain."""

    def alter(parts):
        roomy(parts)
        i = rows_by_weight(parts)[0]
        sign = parts.statement["targets"]["integers"][i]
        parts.statement["dual_point"]["integers"][i] = units(limit(parts, i), sign)

    return alter


def beyond_huber(parts):
    """A unit beyond a_i times delta."""
    roomy(parts)
    value, bits = parts.statement["delta"]["integer"], parts.statement["delta"]["bits"]
    i = rows_by_weight(parts)[0]
    part, k = parts.statement["row_weights"], parts.statement["dual_point"]["bits"]
    most = checker.floor_shift(part["integers"][i] * value, part["bits"] + bits - k)
    parts.statement["dual_point"]["integers"][i] = most + 1


def beyond_softmax(parts):
    """A class that is not the label has a unit more than nothing, the label gives it."""
    roomy(parts)
    i = rows_by_weight(parts)[0]
    V, targets = (parts.statement[name]["integers"] for name in ("dual_point", "targets"))
    row = range(3 * i, 3 * i + 3)
    label = next(place for place in row if targets[place] == 1)
    other = next(place for place in row if place != label)
    V[label] += V[other] - 1
    V[other] = 1


def move(first, second, by=1):
    """Add units to V in one place, take them off in another: (rows by weight, output)."""

    def alter(parts):
        roomy(parts)
        order, outputs = rows_by_weight(parts), parts.statement["outputs"]
        for place, units in ((first, by), (second, -by)):
            if place is not None:
                i = order[place[0]] * outputs + place[1]
                parts.statement["dual_point"]["integers"][i] += units

    return alter


def idle(parts):
    """V of the row of weight 0, and of another one, a unit off."""
    move((ROWS - 1, 0), (0, 0))(parts)


def relabel(parts):
    """Move the label of one row of softmax to the next class."""
    targets = parts.statement["targets"]["integers"]
    targets[0:3] = targets[2:3] + targets[0:2]


def duplicate_last_entry(parts):
    """The last entry of the weights once more."""
    entries = parts.statement["weights"]["entries"]
    entries.append(entries[-1])


def long_values(parts):
    """Numbers within their ranges whose objective has 10,000 digits."""
    statement = parts.statement
    statement["targets"] = {"bits": -4096, "integers": [1 << 4095] * ROWS}
    statement["row_weights"]["bits"] = -4096
    statement["bounds"]["bits"] = 4096


def without_intercept(parts):
    """Say that there is none, and keep it."""
    parts.statement["intercept"] = False


def in_file(change):
    """Change the bytes of the file."""

    def alter(parts):
        return change(bytearray(parts.archive()))

    return alter


def rewritten(**options):
    """Put the parts together in another way."""
    return lambda parts: parts.archive(**options)


def headers(offset, local_offset, layout, value):
    """Overwrite a field in the local and the central header of the first entry."""

    def change(file):
        struct.pack_into(layout, file, local_offset, value)
        struct.pack_into(layout, file, file.index(b"PK\x01\x02") + offset, value)
        return bytes(file)

    return in_file(change)


def both_sizes(file):
    """Declare 2 GB of the first entry, of which none is there."""
    for start in (18, file.index(b"PK\x01\x02") + 20):
        struct.pack_into("<II", file, start, 1 << 31, 1 << 31)
    return bytes(file)


def zipped(alter, prefix=b"", large=False):
    """Put the parts together by a function of the archive and the place of an entry.

    ``alter(archive, info)`` is called before each entry is written, and with None at the end.
    """

    def change(parts):
        file = io.BytesIO(prefix)
        file.seek(len(prefix))
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in zip(checker.NAMES, (parts.json(), parts.columns), strict=True):
                info = zipfile.ZipInfo(name)
                alter(archive, info)
                with archive.open(info, "w", force_zip64=large) as entry:
                    entry.write(content.encode() if isinstance(content, str) else content)
            alter(archive, None)
        return file.getvalue()

    return change


def gap(name):
    """Leave three bytes before an entry, or before the directory for None."""

    def alter(archive, info):
        if (info and info.filename) == name:
            archive.start_dir += 3

    return zipped(alter)


def noted(place):
    """Put bytes into the archive's comment, an entry's comment or extra field, or its directory."""

    def alter(archive, info):
        if place == "archive":
            archive.comment = b"note"
        elif place == "directory" and info is None:
            archive.infolist()[-1].extra = b"\xfe\xca\x02\x00hi"
        elif info and info.filename == "columns.bin" and place != "directory":
            setattr(info, place, b"\xfe\xca\x02\x00hi")

    return zipped(alter)


def overwritten(signature, offset, content):
    """Overwrite bytes after the last appearance of a signature."""

    def change(file):
        place = file.rindex(signature) + offset
        file[place : place + len(content)] = content
        return bytes(file)

    return in_file(change)


def sizes_of_64_bits(size):
    """The head of the columns with sizes of 64 bits, and a size that is off."""

    def change(parts):
        file = bytearray(zipped(lambda archive, info: None, large=True)(parts))
        place = file.rindex(b"PK\3\4") + 30 + len("columns.bin") + 4
        struct.pack_into("<Q", file, place, len(parts.columns) + size)
        return bytes(file)

    return change


def streamed(parts):
    """Write the sizes after each entry, as for a pipe."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *arguments):
            raise io.UnsupportedOperation

    file = Pipe()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("statement.json", parts.json())
        archive.writestr("columns.bin", parts.columns)
    return file.getvalue()


def records_of_64_bits(parts):
    """End a small archive as one of more than 2 GB ends."""
    file = parts.archive()
    count, size, start = struct.unpack("<H2L", file[-12:-2])
    end = len(file) - 22
    records = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    records += struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    return file[:end] + records + file[end:]


def bad_sum(file):
    """Change a byte of the columns, but not their sum in the zip's directory."""
    file[file.index(b"columns.bin") + len(b"columns.bin")] ^= 1
    return bytes(file)


def name_not_utf8(file):
    """A name that says it is UTF-8 and is not."""
    for signature, flags, start in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        header = file.index(signature)
        file[header + flags + 1] |= 0x08
        file[header + start] = 0xFF
    return bytes(file)


BOMB = Parts({}, bytes(1 << 26), " " * (1 << 26))

_CLAIM = r"{}: the file claims -?\d+, the check gives -?\d+$"
_FORM = "not of type|is not an integer"

# name: (base, what spoils it, what the refusal has to say)
CORRUPTIONS = {
    # claims, one unit in the last place off
    **{
        f"{claim} {by:+d} in {base}": (base, add("bounds", claim, by=by), _CLAIM.format(claim))
        for base in ("squared", "hinge", "softmax, group")
        for claim in CLAIMS
        for by in (-1, 1)
    },
    "gap understated by one part in 10^12": ("squared", understate, _CLAIM.format("primal")),
    "gap alone understated by one part in 10^12": (
        "huber, group",
        then(finer, put("bounds", "gap", value=lambda gap: gap - gap // 10**12)),
        _CLAIM.format("gap"),
    ),
    "values of 10,000 digits": (
        "squared",
        long_values,
        r"primal: the file claims \d+, the check gives a longer number$",
    ),
    "primal and dual swapped": (
        "squared",
        lambda parts: parts.statement["bounds"].update(
            primal=parts.statement["bounds"]["dual"], dual=parts.statement["bounds"]["primal"]
        ),
        _CLAIM.format("primal"),
    ),
    "a claim too long": ("squared", put("bounds", "primal", value=1 << 4097), "primal: .*range"),
    "a claim too low": ("squared", put("bounds", "dual", value=-(1 << 4097)), "dual: .*range"),
    # scales
    "bits of bounds": ("squared", add("bounds", "bits"), _CLAIM.format("primal")),
    "bits of row weights": ("squared", add("row_weights", "bits"), _CLAIM.format("primal")),
    "bits of targets": ("squared", add("targets", "bits"), _CLAIM.format("primal")),
    "bits of labels": ("hinge", add("targets", "bits"), "targets: labels have bits 0"),
    "bits of one-hot rows": ("softmax", add("targets", "bits"), "targets: labels have bits 0"),
    "bits of weights": ("squared", add("weights", "bits"), _CLAIM.format("primal")),
    "bits of V": ("squared", add("dual_point", "bits"), _CLAIM.format("dual")),
    "bits of V, less": ("squared", add("dual_point", "bits", by=-1), "V is not feasible: atom"),
    "bits of V, less, group": (
        "squared, group",
        mended(add("dual_point", "bits", by=-1)),
        "V is not feasible: atom",
    ),
    "bits of the strength": ("squared", add("strength", "bits"), "V is not feasible: atom"),
    "bits too many": ("squared", put("weights", "bits", value=4097), "bits: 4097 is out of range"),
    "bits too few": ("squared", put("targets", "bits", value=-4097), "bits: -4097 is out of range"),
    # the program
    "another format": ("squared", put("format", value="zip"), "format: not bidual-certificate"),
    "another version": ("squared", put("version", value=2), "version: this checker reads 1"),
    "another loss": ("squared", put("loss", value="absolute"), _CLAIM.format("primal") + "|domain"),
    "an unknown loss": ("squared", put("loss", value="cubed"), "loss: not one of"),
    "another penalty": ("absolute, group", put("penalty", value="l1"), _CLAIM.format("primal")),
    "an unknown penalty": ("squared", put("penalty", value="l0"), "penalty: not one of"),
    "lambda lower": (
        "squared",
        mended(put("strength", "integer", value=lambda found: found * 999 // 1000)),
        "V is not feasible: atom",
    ),
    "lambda lower, group": (
        "softmax, group",
        mended(put("strength", "integer", value=lambda found: found * 999 // 1000)),
        "V is not feasible: atom",
    ),
    "lambda higher": (
        "squared",
        put("strength", "integer", value=lambda found: found * 1001 // 1000),
        _CLAIM.format("primal"),
    ),
    "lambda below 0": ("squared", put("strength", "integer", value=-1), "integer: -1 is out of"),
    "delta changed": ("huber", add("delta", "bits"), _CLAIM.format("primal") + "|domain"),
    "delta 0": ("huber", put("delta", "integer", value=0), "delta: not above 0"),
    "delta missing": ("huber", drop("delta"), "delta is missing"),
    "delta where there is none": (
        "squared",
        lambda parts: parts.statement.update(delta={"integer": 1, "bits": 0}),
        r"unknown fields \['delta'\]",
    ),
    "rows, one more": ("squared", add("rows"), r"row_weights.integers: 11 entries, not 12"),
    "rows, one fewer": ("squared", add("rows", by=-1), r"row_weights.integers: 11 entries, not 10"),
    "no rows": ("squared", put("rows", value=0), "rows: 0 is out of range"),
    "huge rows": ("squared", put("rows", value=1 << 41), r"rows: \d+ is out of range"),
    "as many rows as may be": ("squared", put("rows", value=1 << 40), "row_weights.integers: 11"),
    "no outputs": ("squared", put("outputs", value=0), "outputs: 0 is out of range"),
    "outputs, one more": ("squared", add("outputs"), "targets.integers: 11 entries, not 22"),
    "huge outputs": ("squared", put("outputs", value=1 << 21), "outputs: .* is out of range"),
    "no atoms": ("squared", put("atoms", value=0), "atoms: 0 is out of range"),
    "atoms, one more": ("squared", add("atoms"), "columns.bin: 12 bytes, not 14"),
    "huge atoms": ("squared", put("atoms", value=1 << 40), "too large for this checker"),
    "atoms and outputs swapped": (
        "squared, group",
        lambda parts: parts.statement.update(
            atoms=parts.statement["outputs"], outputs=parts.statement["atoms"]
        ),
        "targets.integers: 22 entries, not 66",
    ),
    # row weights and targets
    "a row weight, one unit": (
        "squared",
        then(finer, add("row_weights", "integers", 0)),
        _CLAIM.format("primal"),
    ),
    "a row weight below 0": (
        "squared",
        mended(put("row_weights", "integers", 0, value=-1)),
        "row_weights: one is below 0",
    ),
    "row weights swapped": (
        "squared",
        swap("row_weights", "integers"),
        _CLAIM.format("primal"),
    ),
    "row weights truncated": (
        "squared",
        put("row_weights", "integers", value=lambda found: found[:-1]),
        "row_weights.integers: 10 entries, not 11",
    ),
    "a row weight too long": (
        "squared",
        put("row_weights", "integers", 0, value=1 << 4096),
        "row_weights.integers: an entry is not an integer of at most 4096 bits",
    ),
    "a target, one unit": ("squared", then(finer, add("targets", "integers", 0)), "primal"),
    "targets swapped": ("squared", swap("targets", "integers"), _CLAIM.format("primal")),
    "targets truncated": (
        "squared",
        put("targets", "integers", value=lambda found: found[:-1]),
        "targets.integers: 10 entries, not 11",
    ),
    "a label flipped": (
        "hinge",
        mended(put("targets", "integers", 0, value=lambda label: -label)),
        "V is outside its domain in row 0, output 0",
    ),
    "labels swapped": (
        "squared_hinge",
        mended(put("targets", "integers", value=lambda found: [-y for y in found])),
        "V is outside its domain in row",
    ),
    "a label of 2": (
        "logistic",
        mended(put("targets", "integers", 0, value=2)),
        "targets: the loss takes -1 and 1",
    ),
    "a label of 0": (
        "squared_hinge",
        mended(put("targets", "integers", 0, value=0)),
        "targets: the loss takes -1 and 1",
    ),
    "a class moved": ("softmax", mended(relabel), "V is outside its domain in row 0"),
    "two classes": (
        "softmax",
        put("targets", "integers", value=lambda found: [1, 1, 0, *found[3:]]),
        "targets: softmax takes rows with a single 1",
    ),
    "no class": (
        "softmax",
        put("targets", "integers", value=lambda found: [0, 0, 0, *found[3:]]),
        "targets: softmax takes rows with a single 1",
    ),
    # weights
    "a weight, one unit": (
        "squared",
        then(finer, add("weights", "entries", 0, 2)),
        _CLAIM.format("primal"),
    ),
    "a weight's sign": (
        "hinge",
        put("weights", "entries", 0, 2, value=lambda found: -found),
        _CLAIM.format("primal"),
    ),
    "a weight left out": ("squared", drop("weights", "entries", 0), _CLAIM.format("primal")),
    "weights out of order": ("squared", swap("weights", "entries"), "not in order"),
    "a weight twice": ("squared", duplicate_last_entry, "not in order, or one comes twice"),
    "a weight of 0": (
        "squared",
        mended(put("weights", "entries", 0, 2, value=0)),
        "weights: an entry is 0 or too large",
    ),
    "a weight too large": (
        "squared",
        mended(put("weights", "entries", 0, 2, value=-(1 << 128))),
        "weights: an entry is 0 or too large",
    ),
    "a weight of no atom": (
        "squared",
        put("weights", "entries", -1, 0, value=ATOMS),
        "weights: no such entry",
    ),
    "a weight of an atom below 0": (
        "squared",
        put("weights", "entries", 0, 0, value=-1),
        "weights: no such entry",
    ),
    "a weight of no output": (
        "squared",
        put("weights", "entries", 0, 1, value=1),
        "weights: no such entry",
    ),
    "a weight of an output below 0": (
        "squared",
        put("weights", "entries", 0, 1, value=-1),
        "weights: no such entry",
    ),
    "a weight of two numbers": (
        "squared",
        put("weights", "entries", 0, value=[0, 0]),
        "weights: an entry is not a triple",
    ),
    "a weight that is an object": (
        "squared",
        put("weights", "entries", 0, value={"a": 0, "b": 0, "c": 1}),
        "weights: an entry is not a triple",
    ),
    "a weight that is true": (
        "squared",
        put("weights", "entries", 0, 2, value=True),
        "weights: an entry is not of integers",
    ),
    "an intercept where there is none": (
        "squared",
        mended(put("weights", "intercept", 0, value=1)),
        "weights: an intercept, though the program has none",
    ),
    "a null intercept where there is none": (
        "squared",
        mended(put("weights", "null_intercept", 0, value=-1)),
        "weights: an intercept, though the program has none",
    ),
    "an intercept denied": ("squared, group", without_intercept, "though the program has none"),
    "an intercept made up": (
        "squared",
        put("intercept", value=True),
        "V does not sum to 0 in output 0, which has an intercept",
    ),
    "an intercept, one unit": (
        "squared, group",
        then(finer, add("weights", "intercept", 0)),
        _CLAIM.format("primal"),
    ),
    "a null intercept moved": (
        "squared, group",
        add("weights", "null_intercept", 1, by=1 << 48),
        _CLAIM.format("reference"),
    ),
    "an intercept too many": (
        "squared, group",
        put("weights", "intercept", value=[0, 0, 0]),
        "weights.intercept: 3 entries, not 2",
    ),
    "an intercept too large": (
        "squared, group",
        mended(put("weights", "intercept", 0, value=1 << 128)),
        "weights.intercept: an entry is not an integer of at most 128 bits",
    ),
    # the dual point
    "V, one unit": (
        "squared",
        then(mended(roomy), finer, add("dual_point", "integers", 0)),
        _CLAIM.format("dual"),
    ),
    "V doubled": (
        "squared",
        mended(put("dual_point", "integers", value=lambda found: [2 * v for v in found])),
        "V is not feasible: atom",
    ),
    "V turned round": (
        "absolute",
        put("dual_point", "integers", value=lambda found: [-v for v in found]),
        _CLAIM.format("dual"),
    ),
    "V swapped": ("huber", swap("dual_point", "integers", first=1, second=2), "dual|V is"),
    "V truncated": (
        "squared",
        put("dual_point", "integers", value=lambda found: found[:-1]),
        "dual_point.integers: 10 entries, not 11",
    ),
    "V too large": (
        "squared",
        mended(put("dual_point", "integers", 0, value=1 << 128)),
        "dual_point.integers: an entry is not an integer of at most 128 bits",
    ),
    **{
        f"V where the weight is 0, {base}": (base, mended(idle), "V is not 0 in row .* weight is 0")
        for base in PROGRAMS
        if "softmax" not in base
    },
    "V where the weight is 0, softmax": (
        "softmax",
        mended(move((ROWS - 1, 0), (ROWS - 1, 1))),
        "V is not 0 in row .* weight is 0",
    ),
    **{
        f"zero sum broken, {base}": (
            base,
            mended(move((0, 1), None)),
            "V does not sum to 0 in output 1",
        )
        for base in PROGRAMS
        if "group" in base
    },
    "a row's zero sum broken, softmax": (
        "softmax",
        mended(move((0, 0), None)),
        "V does not sum to 0 in row",
    ),
    "two rows' zero sums broken, softmax": (
        "softmax, group",
        mended(move((0, 0), (1, 0))),
        "V does not sum to 0 in row",
    ),
    **{
        f"V below the domain, {loss}": (
            loss,
            mended(beyond(lambda most, sign: -sign)),
            "V is outside its domain in row .*, output 0",
        )
        for loss in checker.LABEL_LOSSES
    },
    **{
        f"V above the domain, {loss}": (
            loss,
            mended(beyond(lambda most, sign: sign * (most + 1))),
            "V is outside its domain in row .*, output 0",
        )
        for loss in ("hinge", "logistic")
    },
    "V above the domain, absolute": (
        "absolute",
        mended(beyond(lambda most, sign: most + 1)),
        "V is outside its domain in row .*, output 0",
    ),
    "V below the domain, absolute": (
        "absolute",
        mended(beyond(lambda most, sign: -most - 1)),
        "V is outside its domain in row .*, output 0",
    ),
    "V above the domain, huber": ("huber", mended(beyond_huber), "V is outside its domain in row"),
    "V above the domain, softmax": (
        "softmax",
        mended(beyond_softmax),
        "V is outside its domain in row",
    ),
    # columns
    "a column dropped": (
        "squared",
        columns(lambda parts: range(ATOMS - 1)),
        "columns.bin: 10 bytes, not 12",
    ),
    "a column dropped, atoms told": (
        "squared",
        columns(lambda parts: [j for j in range(ATOMS) if j != parts.unused()], ATOMS - 1),
        "columns.bin: not the digest stated|primal|no such entry",
    ),
    "a used column dropped, digest mended": (
        "squared",
        then(
            columns(lambda parts: [j for j in range(ATOMS) if j != parts.used()], ATOMS - 1),
            Parts.mend_digest,
        ),
        _CLAIM.format("primal") + "|no such entry",
    ),
    "a column twice": (
        "squared",
        columns(lambda parts: [*range(ATOMS), 0], ATOMS + 1),
        "columns.bin: not the digest stated",
    ),
    "columns reordered": (
        "squared",
        columns(lambda parts: [1, 0, 2, 3, 4, 5]),
        "columns.bin: not the digest stated|primal",
    ),
    "columns reordered, digest mended": (
        "squared",
        then(columns(exchange_columns), Parts.mend_digest),
        _CLAIM.format("primal"),
    ),
    "a bit of an unused column": (
        "hinge",
        flip(Parts.unused),
        "columns.bin: not the digest stated|V is not feasible",
    ),
    "a bit of a used column, digest mended": (
        "squared",
        then(flip(Parts.used), Parts.mend_digest),
        _CLAIM.format("primal") + "|V is not feasible",
    ),
    "a bit past the rows": (
        "squared",
        then(flip(Parts.used, ROWS), Parts.mend_digest),
        r"columns.bin: column \d has bits past its rows",
    ),
    "another digest": ("squared", put("columns_sha256", value="0" * 64), "not the digest stated"),
    # JSON that is not of integers, or not the fields that there are
    **{
        f"{field} missing": ("squared", drop(field), f"statement: {field} is missing")
        for field in (
            *("format", "version", "rows", "atoms", "outputs", "loss", "penalty", "intercept"),
            *("strength", "columns_sha256", "row_weights", "targets", "weights", "dual_point"),
            "bounds",
        )
    },
    **{
        f"{field} of {part} missing": ("squared", drop(part, field), f"{part}: {field} is missing")
        for part, fields in {
            "strength": ("integer", "bits"),
            "row_weights": ("integers", "bits"),
            "targets": ("integers", "bits"),
            "weights": ("bits", "entries", "intercept", "null_intercept"),
            "dual_point": ("integers", "bits"),
            "bounds": ("bits", *CLAIMS),
        }.items()
        for field in fields
    },
    **{
        f"unknown field of {part}": (
            "squared",
            lambda parts, part=part: parts.statement[part].update(note=1),
            rf"{part}: unknown fields \['note'\]",
        )
        for part in ("strength", "row_weights", "targets", "weights", "dual_point", "bounds")
    },
    "unknown field": (
        "squared",
        lambda parts: parts.statement.update(note=1),
        r"statement: unknown fields \['note'\]",
    ),
    "a number that is text": ("squared", put("rows", value="11"), "rows: not of type int"),
    "a number that is true": ("squared", written('"atoms":6', '"atoms":true'), _FORM),
    "a claim that is true": ("squared", put("bounds", "gap", value=True), "gap: not of type int"),
    "a target that is true": (
        "hinge",
        put("targets", "integers", value=lambda found: [y if y < 0 else True for y in found]),
        "targets.integers: an entry is not an integer",
    ),
    "a V that is false": (
        "squared",
        put("dual_point", "integers", 0, value=False),
        "dual_point.integers: an entry is not an integer",
    ),
    "an intercept that is 0": ("squared", put("intercept", value=0), "not of type bool"),
    "a number that is null": ("squared", put("rows", value=None), "rows: not of type int"),
    "a part that is a list": ("squared", put("bounds", value=[]), "bounds: not of type dict"),
    "entries that are an object": ("squared", put("weights", "entries", value={}), _FORM),
    "a statement that is a list": ("squared", text("[]"), "statement: not an object"),
    "a statement that is a number": ("squared", text("1"), "statement: not an object"),
    "version 1.0": ("squared", written('"version":1', '"version":1.0'), "1.0 is not an integer"),
    "version 1e0": ("squared", written('"version":1', '"version":1e0'), "1e0 is not an integer"),
    "rows 1e5": ("squared", written('"rows":11', '"rows":1e5'), "1e5 is not an integer"),
    "NaN": ("squared", written('"rows":11', '"rows":NaN'), "NaN is not an integer"),
    "Infinity": ("squared", written('"rows":11', '"rows":Infinity'), "Infinity is not an integer"),
    "-Infinity": ("squared", written('"rows":11', '"rows":-Infinity'), "-Infinity is not an int"),
    "a decimal of a million digits": (
        "squared",
        written('"rows":11', '"rows":0.' + "1" * 10**6),
        r"0\.1+ is not an integer",
    ),
    "an integer of a million digits": (
        "squared",
        written('"rows":11', '"rows":' + "1" * 10**6),
        "an integer has too many digits",
    ),
    "a key twice": (
        "squared",
        written('"rows":11', '"rows":11,"rows":11'),
        "a JSON object has a key twice",
    ),
    "a key twice, within a part": (
        "squared",
        written('"gap":', '"gap":0,"gap":'),
        "a JSON object has a key twice",
    ),
    "deep nesting": ("squared", text("[" * 10**5 + "]" * 10**5), "statement.json: not JSON"),
    "deep objects": ("squared", text('{"a":' * 10**5 + "}" * 10**5), "statement.json: not JSON"),
    "not ASCII": ("squared", written("bidual", "bid\xfcal"), "statement.json: not JSON"),
    "a byte order mark": ("squared", written('{"format"', '\ufeff{"format"'), "not JSON"),
    "truncated JSON": ("squared", lambda parts: text(parts.json()[:-1])(parts), "not JSON"),
    "two objects": ("squared", lambda parts: text(2 * parts.json())(parts), "not JSON"),
    "no JSON at all": ("squared", text(""), "statement.json: not JSON"),
    # the zip
    "an empty file": ("squared", lambda parts: b"", "not a readable certificate"),
    "no zip": ("squared", lambda parts: b"PK\x03\x04" + bytes(99), "not a readable certificate"),
    "a truncated zip": ("squared", lambda parts: parts.archive()[:-30], "not a readable cert"),
    "a zip cut in half": (
        "squared",
        lambda parts: parts.archive()[: len(parts.archive()) // 2],
        "not a readable certificate",
    ),
    "a missing head": ("squared", lambda parts: parts.archive()[200:], "not as the directory has"),
    "an entry too many": (
        "squared",
        rewritten(extra=[("note.txt", "")]),
        "not the files of a certificate",
    ),
    "an entry twice": (
        "squared",
        rewritten(extra=[("columns.bin", "")]),
        "not the files of a certificate",
    ),
    "a folder": ("squared", rewritten(extra=[("columns/", "")]), "not the files of a certificate"),
    "no columns": ("squared", rewritten(names=("statement.json",)), "not the files of a cert"),
    "a path upwards": (
        "squared",
        rewritten(names=("../statement.json", "columns.bin")),
        "not the files of a certificate",
    ),
    "an absolute path": (
        "squared",
        rewritten(names=("/statement.json", "columns.bin")),
        "not the files of a certificate",
    ),
    "names in capitals": (
        "squared",
        rewritten(names=("STATEMENT.JSON", "columns.bin")),
        "not the files of a certificate",
    ),
    "compressed": (
        "squared",
        rewritten(compression=zipfile.ZIP_DEFLATED),
        "compressed or encrypted",
    ),
    "a zip bomb": (
        "squared",
        lambda parts: BOMB.archive(zipfile.ZIP_DEFLATED),
        "statement.json: compressed or encrypted",
    ),
    # bytes that belong to no entry, and heads that other readers may take for others
    "bytes before": ("squared", lambda parts: b"MZ\n" + parts.archive(), "as the directory has it"),
    "bytes before, offsets mended": (
        "squared",
        zipped(lambda archive, info: None, b"MZ\n"),
        "as the directory has it",
    ),
    "bytes between": ("squared", gap("columns.bin"), "columns.bin: not as the directory has it"),
    "bytes before the directory": ("squared", gap(None), "bytes that belong to no entry"),
    "a byte after": (
        "squared",
        lambda parts: parts.archive() + b"\0",
        "belong to no entry|readable",
    ),
    "a comment": ("squared", noted("archive"), "bytes that belong to no entry"),
    "a comment of an entry": ("squared", noted("comment"), "bytes that belong to no entry"),
    "an extra field": ("squared", noted("extra"), "columns.bin: not as the directory has it"),
    "an extra field of the directory": (
        "squared",
        noted("directory"),
        "columns.bin: not as the directory has it",
    ),
    "sizes after the entries": ("squared", streamed, "statement.json: compressed or encrypted"),
    "records of 64 bits": ("squared", records_of_64_bits, "bytes that belong to no entry"),
    **{
        f"a size of 64 bits, {size:+d}": (
            "squared",
            sizes_of_64_bits(size),
            "columns.bin: not as the directory has it",
        )
        for size in (-1, 1, 1 << 40)
    },
    **{
        f"{what} in a head": (
            "squared",
            overwritten(b"PK\3\4", place, content),
            "columns.bin: not as the directory has it|not a readable certificate",
        )
        for what, place, content in (
            ("encrypted", 6, b"\1\0"),
            ("another compression", 8, b"\x08\0"),
            ("another date", 12, b"\x21\x22"),
            ("another sum", 14, b"\0\0\0\0"),
            ("a smaller size", 18, b"\1\0\0\0"),
            ("a larger size", 22, b"\0\1\0\0"),
            ("another name", 30, b"C"),
        )
    },
    **{
        f"{what} at the end": (
            "squared",
            overwritten(b"PK\5\6", place, content),
            "bytes that belong to no entry|as the directory has it|not a readable certificate",
        )
        for what, place, content in (
            ("another disk", 4, b"\1\0"),
            ("fewer entries", 8, b"\1\0"),
            ("more entries", 10, b"\3\0"),
            ("a smaller directory", 12, b"\1\0\0\0"),
            ("another place", 16, b"\1\0\0\0"),
            ("a comment's length", 20, b"\1\0"),
        )
    },
    "a name that goes on after a null byte": (
        "squared",
        lambda parts: parts.archive(names=("statement.json*x", "columns.bin")).replace(
            b"*x", b"\0x"
        ),
        "not the files of a certificate",
    ),
    "an unknown compression": ("squared", headers(10, 8, "<H", 77), "compressed or encrypted"),
    "an encrypted entry": ("squared", headers(8, 6, "<H", 1), "compressed or encrypted"),
    "sizes that differ": ("squared", headers(24, 22, "<I", 10), "compressed or encrypted"),
    "2 GB declared": ("squared", in_file(both_sizes), "columns.bin: not as the directory has it"),
    "a wrong sum": ("squared", in_file(bad_sum), "columns.bin"),
    "a name that is not UTF-8": ("squared", in_file(name_not_utf8), "not a readable certificate"),
}


def corrupt(name, folder):
    """The bytes of a corrupted file, and what the refusal has to say."""
    base, alter, words = CORRUPTIONS[name]
    parts = good(base, folder)
    file = alter(parts)
    return parts.archive() if file is None else file, words
