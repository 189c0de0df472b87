"""The page about formulations: its blocks print what it shows, and its theorems have tests."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

import bidual as bd
from bidual.certificates import completeness

pytestmark = pytest.mark.slow

ROOT = Path(bd.__file__).parent
PAGE = ROOT / "docs" / "formulations.md"

if not PAGE.exists():
    pytest.skip("needs the checkout, not an installed wheel", allow_module_level=True)

BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)
PARTS = re.split(r"^## (.*)\n", PAGE.read_text(), flags=re.MULTILINE)
SECTIONS = dict(zip(PARTS[1::2], PARTS[2::2], strict=True))
IMPORTS = "What all classes share"
SHOWN = [name for name, text in SECTIONS.items() if BLOCK.search(text) and name != IMPORTS]


def run(section, names):
    """Run the blocks of a section; pairs of what each prints and what the page shows."""
    pairs = []
    for code, shown in BLOCK.findall(SECTIONS[section]):
        said = StringIO()
        with redirect_stdout(said):
            exec(compile(code, f"formulations.md: {section}", "exec"), names)
        pairs.append((said.getvalue(), shown))
    return pairs


@pytest.fixture
def names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {"__name__": "docs"}
    run(IMPORTS, found)
    return found


@pytest.mark.parametrize("section", SHOWN)
def test_blocks_of_a_section_print_what_the_page_shows(section, names):
    # objectives are certified to more digits than are shown
    for said, shown in run(section, names):
        assert said == shown


@pytest.mark.parametrize(
    ("section", "file", "count"),
    [
        (
            "Feedforward, one hidden layer",
            "points.cert",
            lambda X: bd.count_threshold_patterns(np.column_stack([X, np.ones(len(X))])),
        ),
        ("LIF", "xor.cert", lambda X: bd.count_lif_trajectories(X, "1/2")),
    ],
)
def test_certificates_of_complete_dictionaries_are_about_the_whole_class(
    section, file, count, names
):
    run(section, names)
    said = completeness.check(file)
    assert "of any width" in said
    assert f"all {count(names['X'])} patterns" in said


def test_the_closed_form_is_the_optimum_of_two_layers_on_the_three_points(names):
    run("Feedforward, several hidden layers", names)
    deep = names["best"]
    run("The closed form", names)
    best = bd.complete_arrangement([1.0, -0.5, 2.0], strength=0.1)
    assert deep == pytest.approx(best.objective, abs=1e-12 * 1.75)  # the gap asked, of |y|^2 / 2n


def test_pruning_on_the_page_takes_atoms_away(names):
    run("Width", names)
    assert names["pruned"].active.size < names["wide"].active.size
    assert names["wide"].status is names["pruned"].status is bd.Status.CERTIFIED


def test_every_theorem_is_on_the_page_with_tests_that_there_are():
    there = {
        name: file.name
        for file in (ROOT / "tests").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE)
    }
    text = PAGE.read_text()
    for paragraph in text.split("\n\n"):
        files = re.findall(r"`tests/(test_\w+\.py)`", paragraph) or ["test_theorems.py"]
        for name in re.findall(r"`(test_\w+)`", paragraph):
            assert there.get(name) in files, name
    held = {name for name, file in there.items() if file == "test_theorems.py"}
    assert held <= set(re.findall(r"`(test_\w+)`", text))


def test_table_1_has_gaps_below_a_billionth_of_the_objective_at_zero():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in SECTIONS["Table 1"].splitlines()
        if re.match(r"\| (shared|apart) ", line)
    ]
    assert [(row[0], int(row[1])) for row in rows] == [
        (strings, subnetworks) for strings in ("apart", "shared") for subnetworks in (2, 16, 32, 64)
    ]
    for row in rows:
        primal, dual, gap, exact, share = (float(cell) for cell in row[3:8])
        assert gap <= exact * 1.1  # two digits are shown
        assert share < 1e-9
        assert share == pytest.approx(exact / 2, rel=0.1)
        assert abs(primal - dual) <= exact + 1e-10  # ten are
    theirs = {int(row[1]): (float(row[-2]), float(row[-1])) for row in rows}
    assert theirs == {
        2: (0.9817, 74.71),
        16: (0.8370, 82.23),
        32: (0.9459, 76.07),
        64: (0.8734, 86.43),
    }
