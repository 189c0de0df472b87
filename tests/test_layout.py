"""The house: folders and packages agree, imports only fall, and importing costs little."""

import ast
import graphlib
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bidual as bd

ROOT = Path(bd.__file__).parent
FLOORS = {
    "kernels": 0,
    "dictionaries": 1,
    "networks": 2,
    "tasks": 2,
    "formulations": 3,
    "certificates": 4,
    "solvers": 5,
    "cli": 6,
}
MODULES = sorted(path for folder in FLOORS for path in (ROOT / folder).rglob("*.py"))
LATE = ("osqp", "clarabel", "scs", "highspy", "mosek", "ecos", "cvxpy", "sklearn", "matplotlib")
LATE += ("torch", "snntorch", "spikingjelly", "nir")

in_checkout = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="needs the checkout, not an installed wheel"
)


def imports(path):
    """(level, module, names) of every from-import and (0, name, ()) of every plain import."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, []


@in_checkout
def test_every_folder_with_an_init_is_listed_as_a_package():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    inits = [path for floor in FLOORS for path in (ROOT / floor).rglob("__init__.py")]
    folders = [".".join(path.relative_to(ROOT).parts[:-1]) for path in inits]
    assert sorted(listed) == sorted(["bidual", *(f"bidual.{folder}" for folder in folders)])
    tops = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert tops == set(FLOORS)


@in_checkout
def test_root_holds_no_other_module():
    # a root module named like one of the standard library would break Python started there
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_a_module_of_more_than_500_lines_gives_its_reason():
    for path in (*MODULES, *ROOT.glob("*.py")):
        text = path.read_text()
        if len(text.splitlines()) > 500:
            docstring = " ".join((ast.get_docstring(ast.parse(text)) or "").split())
            assert "The file is long because" in docstring, (
                f"{path}: more than 500 lines need a docstring with 'The file is long because'"
            )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_are_relative_and_fall(path):
    folders = path.relative_to(ROOT).parts[:-1]
    here = FLOORS[folders[0]]
    for level, module, names in imports(path):
        assert not module.startswith("bidual"), f"{module} should be imported relatively"
        if level <= len(folders):
            continue  # within the folder of a floor
        # "from .. import x": the public names, which only the top floor may use
        targets = [module.split(".")[0]] if module else []
        assert module or path.parent.name == "cli", f"{names} imported from the root"
        for target in targets:
            assert FLOORS[target] < here, f"{path.name} imports {target}, which is not below it"


def imported(path):
    """Modules of the package that a module imports when it is loaded, as paths."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for name in (alias.name for alias in node.names):
                for found in (base / f"{name}.py", base / name / "__init__.py"):
                    if found.exists():
                        yield found
                        break
                else:
                    yield (
                        base.with_suffix(".py")
                        if base.with_suffix(".py").exists()
                        else (base / "__init__.py")
                    )


def test_no_modules_import_each_other_in_a_circle():
    graph = {path: set(imported(path)) for path in MODULES}
    # TopologicalSorter raises CycleError, which names the circle
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert set(MODULES) <= set(order)


def test_a_circle_within_a_room_is_found(tmp_path):
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / f"{name}.py").write_text(f"from .{other} import x\n")
    graph = {path: set(imported(path)) for path in tmp_path.glob("*.py")}
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", sorted((ROOT / "kernels").glob("*.py")), ids=lambda p: p.name)
def test_kernels_import_nothing_of_bidual_but_their_decorator(path):
    # a cached kernel does not notice a change in another file that it calls
    of_bidual = [(level, module, names) for level, module, names in imports(path) if level]
    assert of_bidual in ([], [(1, "compiled", ["compiled"])])
    assert path.name == "compiled.py" or "jit" not in path.read_text()


def test_root_is_loaded_under_one_name_only():
    copies = [
        name
        for name, module in sys.modules.items()
        if getattr(module, "__file__", None) and Path(module.__file__) == ROOT / "__init__.py"
    ]
    assert copies == ["bidual"]


def test_the_public_names_load_no_backend_and_compile_nothing():
    code = (
        "import sys, bidual\n"
        "bidual.solve\n"
        "from numba.core.dispatcher import Dispatcher\n"
        "modules = [module for name, module in sys.modules.items() if '.kernels.' in name]\n"
        "assert len(modules) > 5\n"
        f"print([name for name in {LATE} if name in sys.modules])\n"
        "print(sum(len(value.signatures) for module in modules\n"
        "          for value in vars(module).values() if isinstance(value, Dispatcher)))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split("\n")[:2] == ["[]", "0"]


def test_import_and_verify_load_no_numba_and_no_numpy():
    code = (
        "import sys, bidual.cli.main\n"
        "assert {'solve', 'tasks', '__version__'} <= set(dir(bidual))\n"
        "bidual.cli.main.main(['verify', 'no file'])\n"
        "print([name for name in ('numba', 'numpy', 'scipy', 'llvmlite') if name in sys.modules])\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"
    assert not shown.stderr


def test_public_names_are_those_that_type_checkers_see():
    # the root imports them twice: under TYPE_CHECKING, and by a list of modules
    tree = ast.parse((ROOT / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for node in block.body:
        module = importlib.import_module("." * node.level + (node.module or ""), "bidual")
        seen |= {alias.name: getattr(module, alias.name) for alias in node.names}
    assert set(seen) == set(bd.__all__)
    for name, value in seen.items():
        assert getattr(bd, name) is value, name


def test_public_names_are_all_there():
    for name in bd.__all__:
        assert hasattr(bd, name)
    assert set(bd.__all__) <= set(dir(bd))
    for name in ("no_such_name", "_no_such_name"):
        with pytest.raises(AttributeError, match=name):
            getattr(bd, name)
    assert len(set(bd.__all__)) == len(bd.__all__)
    for name in ("Network", "NetworkClass"):  # what users annotate and extend
        assert name in bd.__all__
