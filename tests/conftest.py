"""Settings of all tests, and which of a test's parameters are slow or left out."""

import pkgutil
from dataclasses import replace
from importlib import import_module

import pytest
from hypothesis import HealthCheck, settings

from covering import left_out

# a busy machine is slow too: what may take how long, tests of time say themselves
slow = [HealthCheck.too_slow]
settings.register_profile("bidual", deadline=None, suppress_health_check=slow, derandomize=True)
settings.register_profile("short", settings.get_profile("bidual"), max_examples=10)
# other tests draw the same examples in each run, so that a change fails by its own fault
settings.register_profile("anew", settings.get_profile("bidual"), derandomize=False)
settings.load_profile("bidual")


def pytest_addoption(parser):
    parser.addoption(
        "--first-cases", action="store_true", help="run each test with its first parameters only"
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    for item in left_out(items):
        item.add_marker(pytest.mark.slow)
    yield  # -m and -k choose
    if config.getoption("first_cases"):
        first = {}
        for item in items:
            first.setdefault(item.nodeid.split("[")[0], item)
        kept = set(first.values())
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = first.values()


@pytest.fixture
def tuned(monkeypatch):
    """Change numbers of newton within a test: ``tuned(few_columns=20)``."""
    folder = import_module("bidual.solvers.newton")
    names = [name for _, name, _ in pkgutil.iter_modules(folder.__path__)]
    modules = [import_module(f"{folder.__name__}.{name}") for name in names]

    def change(**numbers):
        for module in modules:
            if hasattr(module, "TUNING"):
                monkeypatch.setattr(module, "TUNING", replace(module.TUNING, **numbers))

    return change
