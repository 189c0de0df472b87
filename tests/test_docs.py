"""Examples run: every docstring of the installed package, the README, and pages under docs/."""

import doctest
import importlib
import pkgutil
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

import bidual as bd

ROOT = Path(bd.__file__).parent
README = ROOT / "README.md"
PAGES = ["admm_splitting.md", "backends.md", "dictionaries.md"]
MODULES = ["bidual"] + [
    module.name
    for folder in bd.__path__
    for module in pkgutil.walk_packages([folder], "bidual.")
    if not module.name.startswith(("bidual.tests", "bidual.__main__"))
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_public_classes_and_functions_have_examples():
    shown = [bd.ConvexProgram, bd.BinaryMatrix, bd.LIF, bd.solve, bd.certify, bd.SampledWitnesses]
    assert all(">>>" in item.__doc__ for item in shown)


@pytest.mark.skipif(not README.exists(), reason="needs the checkout, not an installed wheel")
def test_readme_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["certificate"].relative_gap <= 1e-6
    assert names["network"].predict(names["X"][:3]).shape == (3,)


@pytest.mark.skipif(not README.exists(), reason="needs the checkout, not an installed wheel")
def test_readme_gives_the_two_commands():
    lines = README.read_text().splitlines()
    assert any(line.startswith("make demo") for line in lines)
    assert any(line.startswith("make test") for line in lines)


@pytest.mark.skipif(not README.exists(), reason="needs the checkout, not an installed wheel")
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.slow
def test_blocks_of_a_page_print_what_it_shows(page, tmp_path, monkeypatch):
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", text, re.DOTALL)
    assert any(shown for _, shown in blocks)
    monkeypatch.chdir(tmp_path)
    names = {}
    for code, shown in blocks:
        said = StringIO()
        with redirect_stdout(said):
            exec(compile(code, page, "exec"), names)
        assert said.getvalue() == shown


@pytest.mark.skipif(not README.exists(), reason="needs the checkout, not an installed wheel")
def test_the_table_of_backends_has_each_of_them():
    page = (ROOT / "docs" / "backends.md").read_text()
    first_table = page[: page.index("\n## ")]
    assert re.findall(r"^\| `(\w+)` \|", first_table, re.MULTILINE) == list(bd.BACKENDS)


@pytest.mark.skipif(not README.exists(), reason="needs the checkout, not an installed wheel")
def test_links_between_pages_lead_somewhere():
    pages = [
        path
        for folder in ("", "docs", "benchmarks/spiking_lasso")
        for path in (ROOT / folder).glob("*.md")
    ]
    heading = re.compile(r"^#+ (.*)$", re.MULTILINE)
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if link.startswith("http"):
                continue
            name, _, place = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), f"{page.name}: {link}"
            if place:
                places = [
                    re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
                    for title in heading.findall(target.read_text())
                ]
                assert place in places, f"{page.name}: {link}"


@pytest.mark.skipif(not README.exists(), reason="needs the checkout, not an installed wheel")
def test_files_that_the_front_pages_name_exist():
    named = re.compile(r"`([\w/.]*(?:/|\.py|\.md|\.toml|\.ini))`")
    rows = re.findall(r"^\| (`.*/`) \|.*\| (.*) \|$", README.read_text(), re.MULTILINE)
    assert len(rows) == sum(name.count(".") == 1 for name in MODULES)
    for folders, files in rows:
        for folder in named.findall(folders):
            assert (ROOT / folder).is_dir(), folder
            for file in named.findall(files):
                assert (ROOT / folder / file).exists(), f"{folder}{file}"
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    promises = (ROOT / "docs" / "promises.md").read_text()
    for path in named.findall(contributing + promises):
        assert (ROOT / path).exists(), path
    shown = re.search(r"From the top:\n\n(.*?)\n\n", contributing, re.DOTALL)[1]
    folders = [(len(line) - len(line.lstrip()), line.split()[0]) for line in shown.splitlines()]
    listed, above = set(), {}
    for depth, name in folders:
        above[depth] = above.get(depth - 2, "") + name
        listed.add(above[depth])
    packages = {
        path.parent.relative_to(ROOT).as_posix() + "/"
        for top in (ROOT / name for depth, name in folders if depth == 4)
        for path in top.rglob("__init__.py")
    }
    assert listed == packages
