"""Files that appear whole or not at all: every writer of the package saves through this module.

A file grows under a random name in the folder of its path and moves there at the end. No other
file is touched; a process that is killed leaves the random name, ``.bidual-`` and 32 digits.
"""

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from ...kernels.text import printable
from ..validation import file_path

Path = str | os.PathLike[str]

BINARY = getattr(os, "O_BINARY", 0)  # Windows writes text without it


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of ``path`` when the block ends without an exception.

    The file at the path then holds all bytes, synced to the disk. After an exception, also
    KeyboardInterrupt, it is the earlier one, and the folder has no other file. A new file has the
    permissions that the umask leaves. A file that replaces another has the earlier one's, its
    group, and its owner if the process is root. A symbolic link at the path is replaced, not
    followed.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    OSError
        If the path names a folder or a device, or the file can't be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from bidual.dictionaries.files.replacing import replacing
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(os.path.join(folder, "notes")) as file:
    ...         _ = file.write(b"whole")
    ...     os.listdir(folder)
    ['notes']
    """
    target = file_path(path)
    check_target(target)
    temporary = os.path.join(os.path.dirname(target), f".bidual-{secrets.token_hex(16)}")
    opened = False
    try:
        with open(temporary, "xb", opener=lambda name, _: create(name, target)) as file:
            opened = True
            yield file
            file.flush()
            take_permissions(file.fileno(), target)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        if opened or not isinstance(error, FileExistsError):  # else the name is another's
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        raise
    sync_folder(target)


def check_target(path: str) -> None:
    """Raise OSError unless a file can take the place of what the path names."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"{printable(path)}: expected a folder {printable(folder)}, got none; create it"
        )
    with suppress(FileNotFoundError):
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(
                f"{printable(path)}: expected the name of a file, got a folder; add a name to it"
            )
        if not stat.S_ISREG(mode):
            raise OSError(
                f"{printable(path)}: expected the name of a file, got a device or a pipe; "
                "choose another path"
            )


def create(name: str, target: str) -> int:
    """Create a file that will take the place of ``target``; return its descriptor.

    It is open to nobody who could not open the target.
    """
    mode = 0o666  # the system subtracts the umask
    with suppress(FileNotFoundError):
        earlier = stat.S_IMODE(os.stat(target).st_mode)
        mode = (
            mode & earlier if os.path.islink(target) else 0o600
        )  # take_permissions() widens the latter
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY, mode)


def take_permissions(descriptor: int, target: str) -> None:
    """Give a file the permissions of the one that it replaces, and its owner where it may."""
    if sys.platform == "win32":  # files have no owner's permissions there
        return
    try:
        earlier = os.lstat(target)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(earlier.st_mode):  # a link
        return
    mode = stat.S_IMODE(earlier.st_mode) & 0o777
    made = os.fstat(descriptor)
    if earlier.st_uid != made.st_uid:
        with suppress(OSError):  # only root may give files away
            os.fchown(descriptor, earlier.st_uid, -1)
    if earlier.st_gid != made.st_gid:
        try:
            os.fchown(descriptor, -1, earlier.st_gid)
        except OSError:
            mode &= 0o707  # another group shall not read what the earlier one could
    os.fchmod(descriptor, mode)


def is_open_file(path: str, descriptor: int) -> bool:
    """Tell whether a path still names the open file; others may have put their own there."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def sync_folder(path: str) -> None:
    """Sync the folder of a file to the disk, so that a power cut does not take the file's name."""
    if sys.platform == "win32":  # Windows does not open folders
        return
    try:
        descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    except PermissionError:  # a folder may be open to writing only
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
