"""The pages about certificates: their examples run, and the format is enough to check files by.

``bounds_by_the_page`` is a checker's arithmetic written from docs/certificate_format.md alone,
in fractions, and has to give the integers of files of every loss and penalty.
"""

import hashlib
import importlib.util
import json
import math
import re
import subprocess
import sys
import zipfile
from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import bidual as bd
from bidual.certificates import checker

from programs import random_program

ROOT = Path(bd.__file__).parent
FORMAT, USE = ROOT / "docs" / "certificate_format.md", ROOT / "docs" / "certificates.md"

pytestmark = pytest.mark.skipif(
    not FORMAT.exists(), reason="needs the checkout, not an installed wheel"
)

FIRST = "Train, certify, save, check"


def sections(path):
    """{heading: (its text, its python blocks)}."""
    parts = re.split(r"^##+ (.*)\n", path.read_text(), flags=re.MULTILINE)
    texts = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {
        name: (text, re.findall(r"```python\n(.*?)```", text, re.DOTALL))
        for name, text in texts.items()
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the blocks of a section after those of the first, and returns their names."""
    folder = tmp_path_factory.mktemp("certificates")
    found = sections(USE)
    first = {"__name__": "docs"}

    def execute(name, names):
        blocks = found[name][1]
        assert blocks, name
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            for block in blocks:
                exec(compile(block, f"certificates.md: {name}", "exec"), names)
        return names

    execute(FIRST, first)
    first["folder"] = folder

    def after(*names):
        known = dict(first)
        for name in names:
            execute(name, known)
        return known

    return after


def installed(*packages):
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")


def checked_alone(path, script="checker.py"):
    """Exit status and output of a checker in a Python that sees no installed package."""
    command = [sys.executable, "-I", "-S", str(ROOT / "certificates" / script), path.name]
    done = subprocess.run(
        command, cwd=path.parent, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout


DECIMAL = re.compile(r"\d+\.\d+(E-\d+)?|\d+E-\d+")


def shown(name):
    """What a section shows as printed."""
    return re.findall(r"```text\n(.*?)```", sections(USE)[name][0], re.DOTALL)


def lines_of(text):
    """Bounds and gaps may differ from machine to machine; the strength and the columns may not.

    The digest of a statement is that of all it holds, the last bits of the weights too.
    """
    lines = text.splitlines()
    assert sum("of the statement with SHA-256" in line for line in lines) == 1
    lines = [line if "strength" in line else DECIMAL.sub("#", line) for line in lines]
    return [re.sub(r"(of the statement with SHA-256) \w{64}$", r"\1 #", line) for line in lines]


def digest_of(file):
    """The SHA-256 of the statement in a file."""
    with zipfile.ZipFile(file) as archive:
        return hashlib.sha256(archive.read("statement.json")).hexdigest()


# docs/certificates.md


def test_the_first_example_is_proven_and_printed_as_on_the_page(run):
    names = run()
    assert names["certificate"].relative_gap <= 1e-6
    status, said = checked_alone(names["folder"] / "digits.cert")
    assert status == 0
    (page,) = shown(FIRST)
    assert lines_of(said) == lines_of(page)
    assert ", strength 0.0033" in page


def test_first_last_xor_and_parity_are_proven_of_their_classes_as_on_the_page(run, capsys):
    names = run("A whole class of networks")
    accuracy, gap, digest = capsys.readouterr().out.split()[-3:]
    assert float(accuracy) == 1
    assert 0 <= float(gap) <= 1e-9  # the objective is 1 at W = 0
    text = sections(USE)["A whole class of networks"][0]
    xor, parity = (
        checked_alone(names["folder"] / name, "completeness.py")
        for name in ("xor.cert", "parity.cert")
    )
    assert xor[0] == parity[0] == 0
    for name, (_, said) in (("xor.cert", xor), ("parity.cert", parity)):
        assert f"of the statement with SHA-256 {digest_of(names['folder'] / name)}" in said
    for (_, said), page in zip((xor, parity), shown("A whole class of networks"), strict=True):
        assert lines_of(said) == lines_of(page)
    assert digest in xor[1]
    sequences, _ = bd.tasks.first_last_xor(steps=5)
    trajectories = bd.count_lif_trajectories(sequences, "9/10")
    assert f"all {trajectories} patterns" in xor[1]
    assert f"the {trajectories:,} ways to fire" in text
    atoms = names["atoms"].atoms.shape[1]
    assert f"of {atoms} atoms" in xor[1]
    assert f"{atoms:,} different columns" in text


def test_the_examples_of_comparing_with_your_data_run(run):
    names = run("Is the proof about your data?")
    assert names["digest"] == names["proven"].columns_sha256


def test_scikit_learn_told_the_truth(run):
    names = run("scikit-learn")
    assert 0 <= names["certificate"].relative_gap <= 1e-3
    # it has the dual point of the residuals too: rounding costs less than a tenth
    assert names["certificate"].absolute_gap <= 1.1 * names["lasso"].dual_gap_
    assert checked_alone(names["folder"] / "sklearn.cert")[0] == 0


@installed("celer")
@pytest.mark.slow  # test-all installs celer
def test_celers_answer_is_certified(run):
    names = run("scikit-learn", "celer")
    assert 0 <= names["certificate"].relative_gap <= 1e-3
    assert checked_alone(names["folder"] / "celer.cert")[0] == 0


@installed("osqp")
def test_a_solve_proves_what_weights_are_above_the_optimum(run, capsys):
    names = run("Dual points of weights, and of a solve")
    plain, solved, best = (names[name] for name in ("plain", "solved", "best"))
    above = solved.primal - best.certificate.primal
    assert above <= solved.absolute_gap + 1e-12 <= above + 2e-9 * best.program.reference + 1e-12
    assert solved.absolute_gap <= plain.absolute_gap
    assert "the dual point is that of a solve" in capsys.readouterr().out


def test_osqp_reports_what_no_weights_reach(run):
    names = run("A tolerance that is not a gap: OSQP")
    info, proven = names["info"], names["certificate"]
    assert info.status == "solved"
    assert info.obj_val < proven.dual <= names["best"] <= proven.primal
    assert 2 * abs(info.duality_gap) < proven.primal - names["best"] <= proven.absolute_gap


@installed("clarabel")
def test_a_lost_square_root_of_two_is_found(run):
    names = run("A tolerance that is not a gap: OSQP", "A model that lost a square root of two")
    right, wrong = names["right"], names["wrong"]
    for answer in (right, wrong):
        assert str(answer.status) == "Solved"
        assert abs(answer.obj_val - answer.obj_val_dual) <= 1e-5
    assert names["right_certificate"].relative_gap <= 1e-4
    proven = names["wrong_certificate"]
    assert proven.absolute_gap >= 10
    assert wrong.obj_val < proven.dual
    assert proven.primal - names["right_certificate"].primal >= 1


# docs/certificate_format.md


def fraction(part, value):
    return Fraction(value) / Fraction(2) ** part["bits"]


_DIGITS = Context(prec=80)


def _around(t, room=Decimal("1e-15")):
    low, high = _DIGITS.subtract(t, room), _DIGITS.add(t, room)
    return math.floor(low), math.ceil(high)


def log_around(n):
    """L-(n) and L+(n)."""
    return (0, 0) if n == 1 else _around(_DIGITS.multiply(_DIGITS.ln(Decimal(n)), Decimal(2**48)))


def exp_around(x, k):
    """E-(x, k) and E+(x, k)."""
    power = Fraction(x) / Fraction(2) ** k
    if power == 0:
        return 2**48, 2**48
    if power >= 64:
        return 0, 1
    if power <= Fraction(1, 2**49):
        return 2**48 - 1, 2**48
    quotient = _DIGITS.divide(Decimal(power.numerator), Decimal(power.denominator))
    low, high = _around(_DIGITS.multiply(_DIGITS.exp(-quotient), Decimal(2**48)))
    return max(low, 0), high


def log_sum(distances, k, upper):
    """G+ or G-."""
    total = sum(exp_around(x, k)[upper] for x in distances)
    if upper:
        return log_around(total)[1] - log_around(2**48)[0]
    return max(0, log_around(total)[0] - log_around(2**48)[1])


def loss_by_the_page(s, a, z, y, upper):
    """Exact numbers of a row: of each output, or one for softmax; z are integers."""
    loss, k = s["loss"], s["weights"]["bits"]
    if loss == "softmax":
        top = max(z)
        g = log_sum([top - x for x in z], k, upper)
        return [
            a * (Fraction(g, 2**48) + fraction(s["weights"], top - z[[int(t) for t in y].index(1)]))
        ]
    shares = []
    for integer, target in zip(z, y, strict=True):
        fit = fraction(s["weights"], integer)
        margin = max(Fraction(0), 1 - target * fit)
        r = abs(fit - target)
        if loss == "logistic":
            g = log_sum([0, abs(integer)], k, upper)
            shares.append(a * (Fraction(g, 2**48) + max(Fraction(0), -target * fit)))
        elif loss == "huber":
            delta = fraction(s["delta"], s["delta"]["integer"])
            shares.append(a * (r**2 / 2 if r <= delta else delta * r - delta**2 / 2))
        else:
            values = {
                "squared": r**2 / 2,
                "absolute": r,
                "hinge": margin,
                "squared_hinge": margin**2 / 2,
            }
            shares.append(a * values[loss])
    return shares


def entropy_by_the_page(s, a, parts):
    assert min(parts) >= 0
    assert sum(parts) == a
    m = max(s["row_weights"]["bits"], s["dual_point"]["bits"])
    whole, *pieces = (int(x * Fraction(2) ** m) for x in (a, *parts))
    terms = [p * max(0, log_around(whole)[0] - log_around(p)[1]) for p in pieces if p > 0]
    return Fraction(sum(terms)) / Fraction(2) ** (m + 48)


def dual_by_the_page(s, a, v, y):
    """Exact numbers of a row of V, after its domain; v are fractions."""
    loss = s["loss"]
    if a == 0:
        assert not any(v)
        return []
    if loss == "softmax":
        return [entropy_by_the_page(s, a, [a * t - x for x, t in zip(v, y, strict=True)])]
    if loss == "logistic":
        return [entropy_by_the_page(s, a, [t * x, a - t * x]) for x, t in zip(v, y, strict=True)]
    for x, t in zip(v, y, strict=True):
        if loss == "hinge":
            assert 0 <= t * x <= a
        elif loss == "squared_hinge":
            assert t * x >= 0
        elif loss == "absolute":
            assert abs(x) <= a
        elif loss == "huber":
            assert abs(x) <= a * fraction(s["delta"], s["delta"]["integer"])
    square = 0 if loss in ("hinge", "absolute") else 1
    return [t * x - square * x**2 / (2 * a) for x, t in zip(v, y, strict=True)]


def bounds_by_the_page(s, columns):
    """The four integers of a statement and its columns.bin, after 1, 2 and 3."""
    n, atoms, outputs = s["rows"], s["atoms"], s["outputs"]
    size = math.ceil(n / 8)
    assert len(columns) == size * atoms
    digest = hashlib.sha256(f"{n} {atoms}\n".encode() + columns).hexdigest()
    assert digest == s["columns_sha256"]
    D = [[columns[j * size + i // 8] >> i % 8 & 1 for j in range(atoms)] for i in range(n)]

    def by_row(part):
        values = [fraction(part, x) for x in part["integers"]]
        return [values[i * outputs : (i + 1) * outputs] for i in range(n)]

    a = [fraction(s["row_weights"], x) for x in s["row_weights"]["integers"]]
    y, V = by_row(s["targets"]), by_row(s["dual_point"])
    strength = fraction(s["strength"], s["strength"]["integer"])
    if s["intercept"]:
        assert not any(sum(row[c] for row in V) for c in range(outputs))
    for j in range(atoms):
        prices = [sum(V[i][c] for i in range(n) if D[i][j]) for c in range(outputs)]
        if s["penalty"] == "group":
            assert sum(x**2 for x in prices) <= strength**2
        else:
            assert max(abs(x) for x in prices) <= strength
    W = {j: [0] * outputs for j in range(atoms)}
    for j, c, integer in s["weights"]["entries"]:
        W[j][c] = integer
    b, b0 = s["weights"]["intercept"], s["weights"]["null_intercept"]
    z = [
        [b[c] + sum(W[j][c] for j in range(atoms) if D[i][j]) for c in range(outputs)]
        for i in range(n)
    ]
    scale = Fraction(2) ** s["bounds"]["bits"]
    primal = dual = reference = 0
    for i in range(n):
        primal += sum(math.ceil(x * scale) for x in loss_by_the_page(s, a[i], z[i], y[i], True))
        dual += sum(math.floor(x * scale) for x in dual_by_the_page(s, a[i], V[i], y[i]))
        reference += sum(math.floor(x * scale) for x in loss_by_the_page(s, a[i], b0, y[i], False))
    if s["penalty"] == "group":
        squares = [sum(x * x for x in row) for row in W.values()]
        norm = sum(math.isqrt(x) + (math.isqrt(x) ** 2 < x) for x in squares)
    else:
        norm = sum(abs(x) for row in W.values() for x in row)
    primal += math.ceil(strength * fraction(s["weights"], norm) * scale)
    return {"primal": primal, "dual": dual, "gap": primal - dual, "reference": reference}


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("statement.json")), archive.read("columns.bin")


def claimed(statement):
    return {name: x for name, x in statement["bounds"].items() if name != "bits"}


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("penalty", ["l1", "group"])
@pytest.mark.parametrize("loss", bd.LOSSES)
def test_the_page_gives_the_integers_of_every_loss_and_penalty(loss, penalty, intercept, tmp_path):
    program = random_program(loss, intercept, 3, penalty=penalty, rows=20, atoms=8)
    path = tmp_path / "a.cert"
    bd.certify(program, bd.solve(program, gap=1e-3), exact=True).save(path)
    statement, columns = contents(path)
    assert bounds_by_the_page(statement, columns) == claimed(statement)
    checker.check(path)


def test_the_page_gives_the_integers_at_coarse_and_negative_scales(tmp_path):
    """Weights of 2^70 have negative bits, and logarithms far beyond 2^64 units."""
    rng = np.random.default_rng(0)
    program = random_program("logistic", True, 1, rows=20, atoms=8)
    W = 2.0**70 * rng.normal(size=(8, 1))
    path = tmp_path / "a.cert"
    bd.certify(program, weights=W, exact=True).save(path)
    statement, columns = contents(path)
    assert statement["weights"]["bits"] < 0
    assert bounds_by_the_page(statement, columns) == claimed(statement)
    checker.check(path)


def test_the_worked_example_is_a_certificate_and_has_the_integers_it_shows(tmp_path):
    text = sections(FORMAT)["A worked example"][0]
    statement = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    columns = bytes.fromhex(re.search(r"two bytes `([0-9a-f ]+)`", text)[1])
    found = bounds_by_the_page(statement, columns)
    assert found == claimed(statement)
    for name, value in found.items():
        row = next(line for line in text.splitlines() if f"**`{name}`**" in line)
        assert f"| **{value}** |" in row
    path = tmp_path / "tiny.cert"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("statement.json", json.dumps(statement))
        archive.writestr("columns.bin", columns)
    assert checked_alone(path)[0] == 0
    # the last sentence: in 64ths nothing is rounded
    statement["bounds"]["bits"] = 6
    found = bounds_by_the_page(statement, columns)
    assert f"`primal` {found['primal']}, `dual` {found['dual']}" in " ".join(text.split())
    assert Fraction(found["primal"], 64) == Fraction(37, 64)


def test_the_table_of_logarithms_is_right():
    text = sections(FORMAT)["Logarithms and exponentials"][0]
    s = {
        "loss": "logistic",
        "weights": {"bits": 2},
        "row_weights": {"bits": 0},
        "dual_point": {"bits": 3},
    }
    one, up = Fraction(1), Fraction(2) ** 52
    (low,), (high,) = (loss_by_the_page(s, one, [3], [Fraction(-1)], side) for side in (0, 1))
    (bound,) = dual_by_the_page(s, one, [Fraction(-3, 8)], [Fraction(-1)])
    rows = {
        "L-(2), L+(2)": log_around(2),
        "L-(2^48), L+(2^48)": log_around(2**48),
        "E-(3, 2), E+(3, 2)": exp_around(3, 2),
        "G-(0, 3; 2), G+(0, 3; 2)": (log_sum([0, 3], 2, 0), log_sum([0, 3], 2, 1)),
        "share of z = 3 / 2^2, down and up": (math.floor(low * up), math.ceil(high * up)),
        "L-(8), L+(3), L+(5)": (log_around(8)[0], log_around(3)[1], log_around(5)[1]),
        "share of V = -3 / 2^3 in `dual`: m = 3, parts 3 and 5 of 8": (math.floor(bound * up),),
    }
    for name, values in rows.items():
        assert f"| {name} | {', '.join(map(str, values))} |" in text
    assert checker.integer_log(2) == log_around(2)
    assert checker.integer_exp(3, 2) == exp_around(3, 2)


def test_the_page_lists_every_field_and_no_other(tmp_path):
    text = sections(FORMAT)["statement.json"][0]
    listed = set(re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE))
    path = tmp_path / "a.cert"
    program = random_program("huber", True)
    bd.certify(program, bd.solve(program, gap=1e-3), exact=True).save(path)
    statement, _ = contents(path)
    nested = {f"{name}.{key}" for name in ("weights", "bounds") for key in statement[name]}
    assert listed == set(statement) | nested - {"weights.bits", "bounds.bits"}
