"""Examples run: every docstring of the installed package, and the README as it stands."""

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
SPLITTING = ROOT / "docs" / "admm_splitting.md"
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


@pytest.mark.skipif(not SPLITTING.exists(), reason="needs the checkout, not an installed wheel")
@pytest.mark.slow
def test_blocks_of_the_page_on_splitting_print_what_it_shows():
    blocks = re.findall(
        r"```python\n(.*?)```\n\n```text\n(.*?)```", SPLITTING.read_text(), re.DOTALL
    )
    assert blocks
    names = {}
    for code, shown in blocks:
        said = StringIO()
        with redirect_stdout(said):
            exec(compile(code, "admm_splitting.md", "exec"), names)
        assert said.getvalue() == shown
