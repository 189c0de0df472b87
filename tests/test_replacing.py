"""Saving touches no other file: the path holds all of the new file or all of the earlier one."""

import os
import resource
import stat
import sys
import threading

import numpy as np
import pytest

import bidual as bd
from bidual.cli import compare
from bidual.dictionaries.files.replacing import replacing

X = np.random.default_rng(8).normal(size=(20, 4, 3))
LIF = bd.LIF(hidden=(8, 8))
ATOMS = LIF.sample(X, subnetworks=3)
PROGRAM = LIF.program(ATOMS, np.arange(20) % 2, "hinge", strength=0.05)
SOLUTION = bd.solve(PROGRAM, gap=1e-3)

# every writer of the package; to add one: a line here
WRITERS = {
    "network": SOLUTION.network().save,
    "dictionary": ATOMS.save,
    "matrix": ATOMS.atoms.save,
    "certificate": bd.certify(PROGRAM, SOLUTION, exact=True).save,
    "report": lambda path: compare._write(path, b"{}" * 2000),
}
writers = pytest.mark.parametrize("save", WRITERS.values(), ids=WRITERS)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@writers
def test_neighbours_of_any_name_keep_their_bytes(save, path, tmp_path):
    thesis = tmp_path / "thesis"
    thesis.write_bytes(b"precious")
    path.with_name("file.journal").write_bytes(b"dear diary")
    os.link(thesis, path.with_name("file.partial"))
    path.with_name("file.tmp").symlink_to(tmp_path / "nowhere")
    path.with_name(".file").write_bytes(b"hidden")
    before = {each.name: each.lstat() for each in tmp_path.iterdir()}
    save(path)
    after = {each.name: each.lstat() for each in tmp_path.iterdir()}
    assert after.keys() == before.keys() | {"file"}
    for name, was in before.items():
        now = after[name]
        assert (now.st_ino, now.st_size, now.st_mtime_ns) == (
            was.st_ino,
            was.st_size,
            was.st_mtime_ns,
        )
    assert thesis.read_bytes() == b"precious"


@writers
@pytest.mark.parametrize("room", [0, 1, 300, 700])
def test_a_full_disk_leaves_the_earlier_file_and_no_other(save, room, path):
    for earlier in (None, b"earlier"):
        if earlier:
            path.write_bytes(earlier)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                save(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == (
            {"file": earlier} if earlier else {}
        )


@writers
def test_a_file_is_synced_before_it_moves_and_its_folder_after(save, path, monkeypatch):
    steps = []
    real = os.fsync, os.replace

    def fsync(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append((kind, os.fstat(descriptor).st_size))
        real[0](descriptor)

    def replace(old, new):
        steps.append(("moved", os.stat(old).st_size))
        real[1](old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    save(path)
    assert [kind for kind, _ in steps] == ["file", "moved", "folder"]
    assert {size for kind, size in steps if kind != "folder"} == {path.stat().st_size}


@writers
@pytest.mark.parametrize("value", ["", b"", "a\0b", None, 3, ["name"]], ids=repr)
def test_what_is_no_path_is_refused_by_name(save, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^path: expected the path of a file, got"):
        save(value)
    for load in (bd.Network.load, bd.SpikeDictionary.load, bd.BinaryMatrix.load):
        with pytest.raises(ValueError, match=r"^path: expected the path of a file, got"):
            load(value)
    assert list(tmp_path.iterdir()) == []


@writers
def test_a_path_may_be_bytes(save, path):
    save(path)
    expected = path.read_bytes()
    path.unlink()
    save(os.fsencode(path))
    assert path.read_bytes() == expected


@writers
def test_a_new_file_has_the_permissions_that_the_umask_leaves(save, path, umask):
    for mask in (0o077, 0o022, 0o007, 0o777):
        umask(mask)
        save(path)
        assert mode_of(path) == 0o666 & ~mask
        path.unlink()


@writers
def test_a_file_in_place_of_another_has_its_permissions(save, path, umask):
    for mask in (0o077, 0o000):
        umask(mask)
        for mode in (0o600, 0o640, 0o444, 0o664):
            path.unlink(missing_ok=True)
            path.touch()
            path.chmod(mode)
            save(path)
            assert mode_of(path) == mode


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root gives files away")
@writers
def test_a_file_in_place_of_another_has_its_owner_and_group(save, path):
    for owner, group in ((12345, 54321), (0, 54321), (12345, 0)):
        path.unlink(missing_ok=True)
        path.touch(0o640)
        os.chown(path, owner, group)
        save(path)
        found = path.stat()
        assert (found.st_uid, found.st_gid, mode_of(path)) == (owner, group, 0o640)


def test_a_file_of_another_owner_is_replaced_where_it_cannot_be_given_away(path, monkeypatch):
    path.touch(0o644)
    earlier = os.lstat

    def of_another_owner(name):
        fields = list(earlier(name))
        fields[stat.ST_UID] += 1
        return os.stat_result(fields)

    def refuse(*_):
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(os, "lstat", of_another_owner)
        patched.setattr(os, "fchown", refuse)
        with replacing(path) as file:
            file.write(b"new")
    assert mode_of(path) == 0o644
    assert path.read_bytes() == b"new"


def test_the_growing_file_is_open_to_nobody_who_could_not_open_the_earlier_one(path, umask):
    umask(0)
    path.touch(0o600)
    with replacing(path) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    target = path.with_name("target")
    target.touch()
    target.chmod(0o620)
    path.unlink()
    path.symlink_to(target)
    with replacing(path) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o620
    assert mode_of(path) == 0o620


def test_a_file_that_passes_to_another_group_closes_to_groups(path, monkeypatch):
    path.touch()
    path.chmod(0o664)
    earlier = os.lstat

    def of_another_group(name):
        fields = list(earlier(name))
        fields[stat.ST_GID] += 1
        return os.stat_result(fields)

    def refuse(*_):
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(os, "lstat", of_another_group)
        patched.setattr(os, "fchown", refuse)
        with replacing(path) as file:
            file.write(b"new")
    assert mode_of(path) == 0o604


@writers
def test_a_link_is_replaced_and_not_followed(save, path, tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"kept")
    path.symlink_to(target)
    save(path)
    assert not path.is_symlink()
    assert target.read_bytes() == b"kept"
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    save(path)
    assert not (tmp_path / "nowhere").exists()


@writers
def test_folders_pipes_and_devices_are_not_replaced(save, path, tmp_path):
    path.mkdir()
    with pytest.raises(IsADirectoryError, match="expected the name of a file, got a folder"):
        save(path)
    path.rmdir()
    os.mkfifo(path)
    (tmp_path / "null").symlink_to("/dev/null")
    for other in (path, tmp_path / "null"):
        with pytest.raises(OSError, match="expected the name of a file, got a device or a pipe"):
            save(other)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "null"]
    assert stat.S_ISFIFO(path.stat().st_mode)
    folder = tmp_path / "none"
    with pytest.raises(FileNotFoundError, match=r"none/a: expected a folder .*none, got none"):
        save(folder / "a")


def interrupted_at(number, action):
    """Run it, with KeyboardInterrupt at a line of the mechanism; tell whether it came."""
    left = [number]

    def trace(frame, event, _):
        if not frame.f_code.co_filename.endswith("replacing.py"):
            return None
        if event == "line":
            left[0] -= 1
            if left[0] < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("earlier", [b"earlier", None])
def test_ctrl_c_at_any_line_leaves_one_of_the_two_files_and_no_other(earlier, path):
    seen = set()
    for number in range(1000):
        path.unlink(missing_ok=True)
        if earlier:
            path.write_bytes(earlier)

        def save():
            with replacing(path) as file:
                file.write(b"new" * 5000)

        came = interrupted_at(number, save)
        seen.add(path.read_bytes() if path.exists() else None)
        assert [each.name for each in path.parent.iterdir()] == [path.name] * path.exists()
        if not came:
            break
    assert number > 15
    assert seen == {earlier, b"new" * 5000}


def test_a_name_that_is_taken_is_left_alone(path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda _: "0")
    taken = path.with_name(".bidual-0")
    taken.write_bytes(b"another's")
    with pytest.raises(FileExistsError), replacing(path):
        pass
    assert taken.read_bytes() == b"another's"
    assert not path.exists()


def test_an_exception_of_the_block_passes_and_leaves_nothing(path):
    def fail(error):
        with replacing(path) as file:
            file.write(b"half")
            raise error

    for error in (ValueError, FileExistsError, GeneratorExit, SystemExit):
        with pytest.raises(error):
            fail(error)
        assert not list(path.parent.iterdir())


def test_saves_at_the_same_time_leave_one_whole_file(path):
    contents = [bytes([i]) * 300_000 for i in range(8)]

    def save(content):
        with replacing(path) as file:
            file.write(content)

    threads = [threading.Thread(target=save, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert [each.name for each in path.parent.iterdir()] == ["file"]
