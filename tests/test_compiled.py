"""Kernels work whatever becomes of the folder that keeps them, and say once that they lack one."""

import importlib.util
import os
import shutil

import numba
import numpy as np
import pytest
from numba.core.caching import CacheImpl
from numba.core.dispatcher import Dispatcher

from bidual.kernels import compiled

from covering import slow

SOURCE = """
from bidual.kernels.compiled import compiled

@compiled
def add(a, b):
    return a + b

@compiled
def double(a):
    return add(a, a)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The only folder of kernels of these tests."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "kept"))
    # Numba asks the locator of this setting first; others would find a place elsewhere
    monkeypatch.setattr(CacheImpl, "_locator_classes", CacheImpl._locator_classes[:1])
    monkeypatch.setattr(compiled._Cache, "said", False)
    (tmp_path / "source.py").write_text(SOURCE)
    return tmp_path / "kept"


def as_a_new_process(folder):
    """The module of kernels, none of them compiled or loaded."""
    spec = importlib.util.spec_from_file_location("source", folder.parent / "source.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def works(module):
    return module.add(1, 2) == 3


def hits(module):
    return sum(module.add.stats.cache_hits.values())


def test_a_later_process_loads_what_was_compiled(folder, caplog):
    first = as_a_new_process(folder)
    assert not folder.exists()  # an import writes nothing
    assert works(first)
    assert hits(first) == 0
    later = as_a_new_process(folder)
    assert works(later)
    assert hits(later) == 1
    assert later.double(2) == 4
    assert not caplog.messages


def test_kernels_have_the_options_of_numbas_own_decorator(folder):
    ours, theirs = as_a_new_process(folder).add, numba.njit(nogil=True)(lambda a, b: a + b)
    assert ours.targetoptions == theirs.targetoptions
    assert ours.targetdescr is theirs.targetdescr


def test_without_a_folder_kernels_work_and_one_line_says_what_to_do(folder, caplog):
    folder.write_text("no folder")
    for _ in range(2):
        module = as_a_new_process(folder)
        assert works(module)
        assert module.double(2) == 4
        assert module.add.stats.cache_path is None
        module.add.recompile()
    (line,) = caplog.messages
    assert "NUMBA_CACHE_DIR" in line
    assert caplog.records[0].name == "bidual"


def test_a_folder_lost_or_full_within_a_process_stops_no_kernel(folder, caplog, monkeypatch):
    module = as_a_new_process(folder)
    assert module.add(1, 2) == 3
    shutil.rmtree(folder)
    folder.write_text("no folder any more")
    assert module.add(0.5, 0.25) == 0.75
    assert module.double(2) == 4
    (line,) = caplog.messages
    assert "NUMBA_CACHE_DIR" in line


@pytest.mark.parametrize("share", [0, 0.5, *slow(0.02, 0.99)])
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_cut_files_are_written_again(kind, share, folder, caplog):
    works(as_a_new_process(folder))
    for file in folder.rglob(f"*.{kind}"):
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert works(as_a_new_process(folder))
    healed = as_a_new_process(folder)
    assert works(healed)
    assert hits(healed) == 1
    assert not caplog.messages


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_files_of_something_else_are_written_again(kind, folder):
    works(as_a_new_process(folder))
    for file in folder.rglob(f"*.{kind}"):
        file.write_bytes(np.random.default_rng(0).bytes(5000))
    assert works(as_a_new_process(folder))
    assert works(as_a_new_process(folder))


def test_a_file_that_holds_the_kernel_of_other_types_is_not_taken(folder):
    # two processes that save at once may both write file 1, and one index then lists the other's
    first = as_a_new_process(folder)
    assert (first.add(1, 2), first.add(0.5, 0.25)) == (3, 0.75)
    one, other = sorted(folder.rglob("*.add-*.nbc"))
    saved = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(saved)
    for expected in (0, 2):
        module = as_a_new_process(folder)
        assert (module.add(1, 2), module.add(0.5, 0.25)) == (3, 0.75)
        assert hits(module) == expected


def test_kernels_compile_where_numba_is_switched_off(folder, monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    module = as_a_new_process(folder)
    assert isinstance(module.add, Dispatcher)
    assert works(module)


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write(folder, caplog):
    folder.mkdir(mode=0o500)
    assert works(as_a_new_process(folder))
    assert len(caplog.messages) == 1
