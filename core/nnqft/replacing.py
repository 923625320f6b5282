"""A whole new file in the place of another, in one step, and nothing beside it even if the process is killed.

Linux writes it without a name and gives it one when it is whole. Elsewhere, and on file systems that know no such
files, it has a name of its own until then, which a killed process leaves.
"""

from __future__ import annotations

import io
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path


def put_in_place(target: Path, data: bytes | bytearray, found: os.stat_result | None) -> None:
    """Put a new file in the place of another one, whose permissions and owner it gets, or where there is none.

    Parameters
    ----------
    target
        Where; not a link.
    found
        What is known of the file that is there, None if there is none.

    Raises
    ------
    OSError
        If it cannot be done; what was there is still there then.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from nnqft.replacing import put_in_place
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "greeting.txt"
    ...     put_in_place(path, b"hello", None)
    ...     path.read_bytes()
    b'hello'
    """
    mode = 0o666 if found is None else 0o600
    file = _nameless(target.parent, mode)
    if file is not None:
        with file:
            _fill(file, data, target, found)
            done = _name(file.fileno(), target, new=found is None)
    if file is None or not done:
        _through_a_name(target, data, found, mode)
    _sync_folder(target.parent)


def put_new(target: Path, data: bytes | bytearray) -> bool:
    """Put a new file where there is nothing; False if there is something by then, which stays as it is.

    Raises
    ------
    OSError
        If it cannot be done.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from nnqft.replacing import put_new
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "greeting.txt"
    ...     put_new(path, b"hello"), put_new(path, b"good bye"), path.read_bytes()
    (True, False, b'hello')
    """
    file = _nameless(target.parent, 0o666)
    if file is not None:
        with file:
            _fill(file, data, target, None)
            done = _link(file.fileno(), target)
    if file is None or not done:
        done = not os.path.lexists(target) and _new_through_a_name(target, data)
    _sync_folder(target.parent)
    return done


def write_all(file: io.FileIO, data: bytes | bytearray) -> None:
    """Write all bytes, of which the system may take a few at a time."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _fill(file: io.FileIO, data: bytes | bytearray, target: Path, found: os.stat_result | None) -> None:
    write_all(file, data)
    if found is not None:
        _like(file.fileno(), target, found)
    os.fsync(file.fileno())


def _nameless(folder: Path, mode: int) -> io.FileIO | None:
    """A file in a folder that has no name there and ends with the process; None where there is no such thing."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        descriptor = os.open(folder, os.O_RDWR | os.O_TMPFILE, mode)
    except OSError:
        return None  # what is wrong with the folder itself, a named file will say
    return io.FileIO(descriptor, "w")


def _name(descriptor: int, target: Path, *, new: bool) -> bool:
    """Give a nameless file its name, at once if nothing has that; False where the system does not let it."""
    aside = _name_aside(target.parent)
    try:
        if new and _link(descriptor, target):
            return True  # otherwise somebody was faster, and is replaced
        if not _link(descriptor, aside):
            return False
        os.replace(aside, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(aside)
        raise
    return True


def _link(descriptor: int, path: Path) -> bool:
    # With the descriptor of a folder, which it does not use here, Python makes the call that follows the link in /proc.
    try:
        folder = os.open(path.parent, os.O_PATH)
        try:
            os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)
    except OSError:
        return False
    return True


def _through_a_name(target: Path, data: bytes | bytearray, found: os.stat_result | None, mode: int) -> None:
    file, name = _named(target.parent, mode)
    try:
        with file:
            _fill(file, data, target, found)
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _new_through_a_name(target: Path, data: bytes | bytearray) -> bool:
    file, name = _named(target.parent, 0o666)
    try:
        with file:
            _fill(file, data, target, None)
        try:
            os.link(name, target)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            if os.path.lexists(target):
                return False
            os.replace(name, target)
        return True
    finally:
        with suppress(OSError):
            os.unlink(name)


def _named(folder: Path, mode: int) -> tuple[io.FileIO, Path]:
    """An empty file under a name that nobody can have guessed or taken, with the permissions that the umask leaves."""
    while True:
        name = _name_aside(folder)
        with suppress(FileExistsError):
            return io.FileIO(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "w"), name


def _name_aside(folder: Path) -> Path:
    return folder / f".nnqft-{secrets.token_hex(8)}.part"


def _like(descriptor: int, target: Path, found: os.stat_result) -> None:
    """Give a new file the owner, as far as that is allowed, the permissions and the attributes of another."""
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (found.st_uid, found.st_gid):
        try:
            os.chown(descriptor, found.st_uid, found.st_gid)
        except OSError:
            with suppress(OSError):
                os.chown(descriptor, -1, found.st_gid)
    os.chmod(descriptor, stat.S_IMODE(found.st_mode))
    if hasattr(os, "listxattr"):  # access control lists and labels, on Linux
        with suppress(OSError):
            for each in os.listxattr(target):
                os.setxattr(descriptor, each, os.getxattr(target, each))


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where folders can be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
