"""The checker proves good certificates, refuses others for the right reason, and stays small."""

import ast
import json
import random
import re
import resource
import shutil
import subprocess
import sys
import tokenize
import zipfile
from fractions import Fraction
from pathlib import Path

import pytest
from cert_files import (
    ATOMS,
    CLAIMS,
    CORRUPTIONS,
    PROGRAMS,
    ROWS,
    Parts,
    certificate,
    checker_module,
    corrupt,
    good,
    take_apart,
)

from bidual.certificates import checker

SOURCE = Path(checker.__file__)
each_base = pytest.mark.parametrize("base", PROGRAMS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where good certificates are written once."""
    return tmp_path_factory.mktemp("good")


def write(path, file):
    path.write_bytes(file)
    return path


def run(*arguments, folder, memory=1 << 29, seconds=10):
    """Run the script alone, in a folder that holds nothing else, within memory and time."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    shutil.copy(SOURCE, folder / "checker.py")
    command = [sys.executable, "-I", "checker.py", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, preexec_fn=limit)


@each_base
def test_a_good_certificate_is_proven(base, folder, tmp_path):
    parts, made = good(base, folder), certificate(base)
    program = checker.check(write(tmp_path / "a.cert", parts.archive()))
    assert program.claims == {name: parts.statement["bounds"][name] for name in CLAIMS}
    for name in CLAIMS:
        named = "absolute_gap" if name == "gap" else name  # the word of the file format
        assert getattr(made, named) == program.claims[name] / Fraction(2) ** program.bound_bits
    # what the tables of corruptions rely on
    assert parts.statement["row_weights"]["integers"].count(0) == 1
    assert min(parts.statement["row_weights"]["integers"][:4]) > 0
    assert len(parts.statement["weights"]["entries"]) > 1


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_certificate_is_refused(name, folder, tmp_path):
    file, words = corrupt(name, folder)
    with pytest.raises(checker.Refused, match=words):
        checker.check(write(tmp_path / "a.cert", file))


@pytest.mark.parametrize("base", ["squared", "softmax, group"])
def test_no_flipped_bit_makes_another_statement(base, folder, tmp_path):
    file = good(base, folder).archive()
    path = write(tmp_path / "a.cert", file)
    stated = vars(checker.check(path))
    rng = random.Random(7)
    refused = 0
    for place in rng.sample(range(8 * len(file)), 1000):
        flipped = bytearray(file)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            proven = checker.check(path)
        except checker.Refused:
            refused += 1
        else:
            assert vars(proven) == stated, f"bit {place}"
    # what may differ is in the zip's headers: dates, versions, attributes
    assert refused > 900


@pytest.mark.parametrize("base", ["squared", "logistic, group"])
def test_no_byte_cut_off_passes(base, folder, tmp_path):
    file = good(base, folder).archive()
    for length in range(0, len(file), 41):
        with pytest.raises(checker.Refused):
            checker.check(write(tmp_path / "a.cert", file[:length]))


@pytest.mark.parametrize("base", ["squared", "softmax, group"])
def test_a_statement_says_what_is_proven(base, folder, tmp_path):
    parts, made = good(base, folder), certificate(base)
    program = checker.check(write(tmp_path / "a.cert", parts.archive()))
    lines = checker.statement(program, "the complete dictionary").split("\n")
    gap, relative = re.match(
        r"the weights in this file are within (\S+) of the best possible "
        r"\((\S+) of the objective at zero weights and the intercept in the file\)$",
        lines[0],
    ).groups()
    primal, dual = (float(line.split()[-1]) for line in lines[1:3])
    # 12 digits, rounded to the side that weakens what is said
    for said, true in (
        (gap, made.absolute_gap),
        (relative, made.absolute_gap / made.reference),
        (primal, made.primal),
    ):
        assert true <= Fraction(said) <= true * (1 + Fraction("1e-11"))
    assert made.dual * (1 - Fraction("1e-11")) <= Fraction(lines[2].split()[-1]) <= made.dual
    assert primal >= dual
    shape = f"{program.loss} + {program.penalty}, {ROWS} rows, {program.outputs} outputs"
    assert lines[3].startswith(f"  {shape}, {'with' if program.intercept else 'no'} intercept, ")
    assert lines[4] == (
        f"  over the complete dictionary of {ATOMS} atoms with SHA-256 "
        f"{parts.statement['columns_sha256']}"
    )


# programs worked out by hand, in integers


def by_hand(loss, V, y, weights, strength, bounds, mass=1, penalty="group", bits=1):
    """One row, one atom: the statement of V, y and weights (C,) as they are."""
    C = len(V)

    def of(integers, scale=0):
        return {"bits": scale, "integers": integers}

    entries = [[0, c, w] for c, w in enumerate(weights) if w]
    statement = {
        "format": "bidual-certificate",
        "version": 1,
        "rows": 1,
        "atoms": 1,
        "outputs": C,
        "loss": loss,
        "penalty": penalty,
        "intercept": False,
        "strength": {"integer": strength, "bits": 0},
        "columns_sha256": "",
        "row_weights": of([mass]),
        "targets": of(y),
        "weights": {
            "bits": 0,
            "entries": entries,
            "intercept": [0] * C,
            "null_intercept": [0] * C,
        },
        "dual_point": of(V),
        "bounds": {"bits": bits, **dict(zip(CLAIMS, bounds, strict=True))},
    }
    if loss == "huber":
        statement["delta"] = {"integer": 2, "bits": 0}
    parts = Parts(statement, b"\1")
    parts.mend_digest()
    return parts


# in halves: primal, dual, gap and reference
BY_HAND = {
    # min |W - (6, 8)|^2 / 2 + 5 |W|: W = (3, 4), half as long; 25/2 + 25 = 75/2
    "squared": ("squared", [3, 4], [6, 8], [3, 4], 5, (75, 75, 0, 100)),
    # the same apart: |6 - 3| and |8 - 5|, 9/2 + 9/2 + 3 (3 + 5) = 33; reference 50
    "squared, l1": ("squared", [3, 3], [6, 8], [3, 5], 3, (66, 66, 0, 100), 1, "l1"),
    # min 5 |W - (3, 4)| summed + 1 |W|: W is the target, 5; V = W / |W| = (3, 4) / 5 by mass 5
    "absolute": ("absolute", [3, 4], [3, 4], [3, 4], 5, (50, 50, 0, 70), 5),
    # min 3 |w - 9| + 3 |w|, flat from 0 to 9: V = 3 is all that the row may pull
    "absolute, flat": ("absolute", [3], [9], [5], 3, (54, 54, 0, 54), 3, "l1"),
    # strength beyond the pull of the row: W = 0 and V = a y
    "hinge": ("hinge", [3, -3], [1, -1], [], 5, (12, 12, 0, 12), 3),
    # min 3 (1 - w) + 2 w: w = 1
    "hinge, l1": ("hinge", [2], [1], [1], 2, (4, 4, 0, 6), 3, "l1"),
    # min 4 (1 - w)^2 / 2 + 4 w: w = 0, and V = 4 alone proves all of 2
    "squared_hinge": ("squared_hinge", [4], [1], [], 4, (4, 4, 0, 4), 4, "l1"),
    # at strength 0 a margin of 1 leaves nothing to pull
    "squared_hinge, free": ("squared_hinge", [0], [-1], [-1], 0, (0, 0, 0, 4), 4, "l1"),
    "hinge, free": ("hinge", [0], [-1], [-1], 0, (0, 0, 0, 6), 3, "l1"),
    # delta 2: min 3 (2 |w - 9| - 2) + 6 w, flat from 0 to 7: 3 (2 * 4 - 2) + 30 = 48
    "huber, linear": ("huber", [6], [9], [5], 6, (96, 96, 0, 96), 3, "l1"),
    # on the border between square and line: 3 * 2^2 / 2 + 6 * 7 = 48 too
    "huber, border": ("huber", [6], [9], [7], 6, (96, 96, 0, 96), 3, "l1"),
    # and within the square: 3 * 1 / 2 + 3 * 8 = 51/2
    "huber, square": ("huber", [3], [9], [8], 3, (51, 51, 0, 96), 3, "l1"),
    # nothing to gain: all is 0
    "nothing": ("squared", [0], [0], [], 1, (0, 0, 0, 0)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_optima_by_hand_have_a_gap_of_0(name, tmp_path):
    program = checker.check(write(tmp_path / "a.cert", by_hand(*BY_HAND[name]).archive()))
    assert checker.statement(program).startswith(
        "the weights in this file are within 0 of the best possible (the objective at zero weights "
        "is 0 or rounds to it)"
        if name == "nothing"
        else "the weights in this file are within 0 of the best possible (0 of the objective"
    )


@pytest.mark.parametrize("name", [name for name, case in BY_HAND.items() if any(case[1])])
def test_a_strength_one_unit_lower_leaves_optima_by_hand_infeasible(name, tmp_path):
    parts = by_hand(*BY_HAND[name])
    prices, strength = parts.statement["dual_point"]["integers"], parts.statement["strength"]
    grouped = parts.statement["penalty"] == "group"
    norm = sum(v * v for v in prices) ** 0.5 if grouped else max(map(abs, prices))
    if norm < strength["integer"]:
        strength["integer"] = 4  # (3, -3) is as long as 4.24
    else:
        strength.update(integer=(strength["integer"] << 100) - 1, bits=100)
    parts.mend_claims()
    with pytest.raises(checker.Refused, match="V is not feasible: atom 0 has a price > strength"):
        checker.check(write(tmp_path / "a.cert", parts.archive()))


@pytest.mark.parametrize("shift", [1, 40, -20])
@pytest.mark.parametrize("part", ["row_weights", "targets", "strength", "delta", "weights", "V"])
@pytest.mark.parametrize("name", BY_HAND)
def test_other_powers_of_two_state_the_same(name, part, shift, tmp_path):
    parts = by_hand(*BY_HAND[name])
    statement = parts.statement
    labels = statement["loss"] in checker.LABEL_LOSSES
    if (labels and part == "targets") or (part == "delta" and "delta" not in statement):
        return
    # everything a multiple of 2^20 first, so that it can also be stated with fewer digits
    lift(statement, "V", 20)
    for each in ("row_weights", "strength", "targets", "delta", "weights"):
        if each in statement and not (labels and each == "targets"):
            lift(statement, each, 20)
    lift(statement, part, shift)
    assert checker.check(write(tmp_path / "a.cert", parts.archive())).claims


def lift(statement, part, shift):
    """State numbers over another power of two; what they are stays."""

    def over(x):
        assert shift >= 0 or x % (1 << -shift) == 0
        return x << shift if shift >= 0 else x >> -shift

    place = statement["dual_point" if part == "V" else part]
    place["bits"] += shift
    for key in place:
        if key == "entries":
            place[key] = [[j, c, over(w)] for j, c, w in place[key]]
        elif key == "integer":
            place[key] = over(place[key])
        elif key != "bits":
            place[key] = [over(x) for x in place[key]]


def in_other_units(name, fit, mass):
    """Targets and weights in units of 2^fit, row weights in units of 2^mass: the same integers.

    V and the strength have the units of the objective by those of fits.
    """
    parts = by_hand(*BY_HAND[name])
    statement = parts.statement
    curved = statement["loss"] in ("squared", "huber")
    for part in ("targets", "weights", "delta"):
        if part in statement:
            statement[part]["bits"] -= fit
    for part in ("dual_point", "strength"):
        statement[part]["bits"] -= fit * curved + mass
    statement["row_weights"]["bits"] -= mass
    statement["bounds"]["bits"] -= fit * (1 + curved) + mass
    return parts.archive()


UNITS = [
    (name, fit, mass)
    for name, (loss, *_) in BY_HAND.items()
    for fit in (-60, -3, 0, 3, 60)
    for mass in (-60, 0, 60)
    if fit == 0 or loss not in checker.LABEL_LOSSES  # whose margin is 1
]


@pytest.mark.parametrize(("name", "fit", "mass"), UNITS)
def test_other_units_change_no_integer(name, fit, mass, tmp_path):
    program = checker.check(write(tmp_path / "a.cert", in_other_units(name, fit, mass)))
    assert tuple(program.claims.values()) == BY_HAND[name][5]


@pytest.mark.parametrize("bits", [0, 30, -1, -5, -40])
@pytest.mark.parametrize("name", BY_HAND)
def test_bounds_are_rounded_to_the_side_that_weakens_them(name, bits, tmp_path):
    parts = by_hand(*BY_HAND[name])
    claims = parts.statement["bounds"]
    primal, dual, _, reference = (
        Fraction(claims[each], 2) * Fraction(2) ** bits for each in CLAIMS
    )
    # one row a statement, whose loss and penalty are rounded apart; entries are rows of one output
    roundings = parts.statement["outputs"] + 1
    claims["bits"] = bits
    parts.mend_claims()
    found = checker.check(write(tmp_path / "a.cert", parts.archive())).claims
    assert primal <= found["primal"] <= primal + roundings
    assert dual - roundings <= found["dual"] <= dual
    assert reference - roundings <= found["reference"] <= reference
    assert found["gap"] == found["primal"] - found["dual"]


def test_completeness_may_be_told_and_nothing_else(folder, tmp_path):
    parts = good("squared", folder)
    file = parts.archive(extra=[("completeness.json", "{}")])
    assert checker.check(write(tmp_path / "a.cert", file)).claims


def test_a_saved_certificate_is_stored_as_it_is(folder):
    with zipfile.ZipFile(folder / "squared.cert") as archive:
        assert archive.namelist() == list(checker.NAMES)
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert json.loads(archive.read("statement.json"))["format"] == "bidual-certificate"
    assert take_apart(folder / "squared.cert").columns == good("squared", folder).columns


def test_columns_are_those_of_the_matrix(folder):
    D = PROGRAMS["squared"].design.to_dense()
    parts = good("squared", folder)
    for j in range(ATOMS):
        column = int.from_bytes(parts.column(j), "little")
        assert [column >> i & 1 for i in range(ROWS)] == D[:, j].astype(int).tolist()


def test_a_statement_larger_than_may_be_is_not_read(folder, tmp_path):
    parts = good("squared", folder)
    path = write(tmp_path / "a.cert", parts.archive())
    small = checker_module()
    small.MOST_STATEMENT_BYTES = len(parts.json())
    assert small.check(path).claims
    small.MOST_STATEMENT_BYTES -= 1
    with pytest.raises(small.Refused, match=r"statement\.json: too large"):
        small.check(path)


@pytest.mark.parametrize("base", [name for name in PROGRAMS if name[:4] in ("logi", "soft")])
def test_logarithms_and_exponentials_are_counted_as_work(base, folder, tmp_path):
    path = write(tmp_path / "a.cert", good(base, folder).archive())
    module, calls = checker_module(), []
    enclosed = module.enclosed
    module.enclosed = lambda value: calls.append(value) or enclosed(value)
    steps = module.work(module.check(path))
    assert steps >= 300 * len(calls) > 0
    # and what is counted is what is refused
    module.MOST_WORK = steps
    assert module.check(path).claims
    module.MOST_WORK = steps - 1
    calls.clear()
    with pytest.raises(module.Refused, match=f"too large for this checker: {steps} steps"):
        module.check(path)
    assert calls == []


def test_rows_columns_and_long_numbers_are_counted_as_work(folder):
    parts = good("squared", folder)

    def steps():
        return checker.work(checker.Program(parts.statement))

    before = steps()
    assert before < 100 * (ROWS + ATOMS)
    parts.statement["targets"]["bits"] = -4096
    assert steps() - before >= ROWS * (4096 // 256) ** 2
    parts = good("hinge", folder)
    before = steps()
    parts.statement["atoms"] += 10
    planes = max(parts.statement["dual_point"]["integers"]).bit_length()
    assert steps() - before >= 10 * planes


# the script


def test_the_script_runs_alone_and_tells_by_its_exit_status(folder, tmp_path):
    parts = good("softmax, group", folder)
    write(tmp_path / "good.cert", parts.archive())
    parts.statement["bounds"]["gap"] -= 1
    write(tmp_path / "bad.cert", parts.archive())

    done = run("good.cert", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("PROVEN good.cert: the weights in this file are within ")
    assert done.stdout.count("\n") == 6

    done = run("bad.cert", "good.cert", "none.cert", ".", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    lines = [line for line in done.stdout.split("\n") if not line.startswith("  ")]
    assert re.match(r"REFUSED bad.cert: gap: the file claims (\d+), the check gives \d+$", lines[0])
    assert lines[1].startswith("PROVEN good.cert: ")
    assert lines[2].startswith("REFUSED none.cert: not a readable certificate: ")
    assert lines[3].startswith("REFUSED .: not a readable certificate: ")

    done = run(folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: python checker.py FILE...\n"


HOSTILE = (
    *("a zip bomb", "2 GB declared", "a wrong sum", "a name that is not UTF-8"),
    *("huge rows", "as many rows as may be", "huge atoms", "huge outputs"),
    *("an integer of a million digits", "a decimal of a million digits"),
    *("deep nesting", "deep objects", "values of 10,000 digits"),
)


def test_hostile_files_take_little_time_and_memory(folder, tmp_path):
    names = []
    for k, name in enumerate(HOSTILE):
        file, _ = corrupt(name, folder)
        names.append(write(tmp_path / f"{k}.cert", file).name)
    # 512 MB and 10 s of CPU for all of them, half of which Python itself may take
    done = run(*names, folder=tmp_path)
    assert done.stderr == ""
    assert re.findall(r"^REFUSED (\S+):", done.stdout, re.M) == names
    assert done.returncode == 1
    assert max(map(len, done.stdout.split("\n"))) < 2000  # what is hostile is not echoed


# its source


def tokens():
    with SOURCE.open("rb") as file:
        return list(tokenize.tokenize(file.readline))


def lines_of_code():
    """Lines with more on them than comments, blanks and docstrings."""
    tree = ast.parse(SOURCE.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            docstrings |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    nothing |= {tokenize.ENCODING, tokenize.ENDMARKER}
    used = set()
    for token in tokens():
        if token.type not in nothing:
            used |= set(range(token.start[0], token.end[0] + 1))
    return len(used - docstrings)


def test_the_checker_is_read_in_one_sitting():
    assert 300 < lines_of_code() <= 400  # fewer than 300 would be a miscount


def test_the_checker_imports_the_standard_library_alone():
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 10))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module.split(".")[0])
    assert imported <= sys.stdlib_module_names
    assert "decimal" in imported
    names = {token.string for token in tokens() if token.type == tokenize.NAME}
    assert not names & {"__import__", "exec", "eval", "importlib", "float", "compile"}


def test_the_checker_holds_no_floats():
    numbers = [token.string for token in tokens() if token.type == tokenize.NUMBER]
    assert len(numbers) > 50
    assert not [number for number in numbers if not re.fullmatch(r"\d+", number)]
    divisions = [token.string for token in tokens() if token.string in ("/", "/=")]
    assert divisions == []
