"""What a release says of itself agrees: version, authors, papers, Pythons and commands."""

import re
import tomllib
from pathlib import Path

import pytest

import bidual as bd

ROOT = Path(bd.__file__).parent
if not (ROOT / "pyproject.toml").exists():
    pytest.skip("needs the checkout, not an installed wheel", allow_module_level=True)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = (ROOT / "CITATION.cff").read_text()
WORKFLOW = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
HEADINGS = re.findall(r"^##+ (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_versions_agree():
    assert bd.__version__ == PROJECT["version"]
    assert re.findall(r"^version: (.*)$", CITATION, re.MULTILINE) == [bd.__version__]
    released = [heading for heading in HEADINGS if re.match(r"\[\d", heading)]
    assert released[0].startswith(f"[{bd.__version__}] - ")


def test_the_changelog_has_the_form_of_keep_a_changelog():
    assert HEADINGS[0] == "[Unreleased]"
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for heading in HEADINGS[1:]:
        assert heading in kinds or re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading)


def test_authors_and_licence_agree():
    for author in PROJECT["authors"]:
        assert f"  - name: {author['name']}\n" in CITATION
    assert f"license: {PROJECT['license']}\n" in CITATION


def test_the_papers_of_the_readme_are_cited():
    papers = set(re.findall(r"arXiv[: ](\d{4}\.\d{5})", (ROOT / "README.md").read_text()))
    assert papers
    assert papers == set(re.findall(r"arXiv:(\d{4}\.\d{5})", CITATION))


def test_hosted_tests_run_on_every_python_that_is_promised():
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    (matrix,) = re.findall(r"python: \[(.*)\]", WORKFLOW)
    assert re.findall(r"3\.\d+", matrix) == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_hosted_tests_run_what_ci_runs():
    def targets(script):
        return {
            word
            for line in re.findall(r"make (.*)$", script, re.MULTILINE)
            for word in line.split()
        }

    run = targets((ROOT / ".ci" / "run").read_text().split("set -euo pipefail")[1])
    assert run == targets(WORKFLOW)
    assert run <= set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
