"""Files, written whole or not at all, into whatever the path leads to.

A regular file is replaced by a whole one in a single step, its permissions and owner kept; a symbolic link is followed;
a pipe or a character device is written into. Where a folder lets no new file be made beside one that may be written,
or the file is a mount of its own, it is written in place, with what it held put back if that fails.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from nnqft import interrupts
from nnqft.errors import InputError, short
from nnqft.replacing import put_in_place, write_all

_IN_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV)
"""Why a file cannot be replaced although it may be written: its folder, or that it is mounted by itself."""

_LOOK = 0.05
"""Seconds between two looks whether somebody reads a pipe, or has interrupted."""
_LOOKS = 40
"""How many of them whoever reads it is granted after an interrupt."""


def file_path(name: str, path: object) -> Path:
    """The path that a user gave, a leading ``~`` made the home folder.

    Parameters
    ----------
    name
        What the message calls it.
    path
        Whatever came.

    Raises
    ------
    InputError
        If it is no path.

    Examples
    --------
    >>> from nnqft.writing import file_path
    >>> file_path("path", "out/result.json").name
    'result.json'
    """
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
    with suppress(UnicodeEncodeError):  # a lone half of a character is in no name
        if text and "\0" not in text and os.fsencode(text):
            return Path(os.path.expanduser(text))
    raise InputError(f"{name}={short(path)}: wanted the path of a file, write for example {name}='result.json'")


def check_writable(path: Path) -> None:
    """Refuse a path before the work, not after.

    Raises
    ------
    InputError
        Unless a file of that name can be written, or written anew.
    """
    with _one_line(path):
        found = look(path)
        folder = Path(os.path.realpath(path)).parent
        if (found is not None and stat.S_ISDIR(found.st_mode)) or (found is None and not folder.is_dir()):
            raise InputError(f"cannot write {str(path)!r}: wanted a file in a folder that exists")
        if not os.access(path if found else folder, os.W_OK):
            raise InputError(f"cannot write {str(path)!r}: permission denied; wanted a file in a folder of yours")


def is_stream(path: Path) -> bool:
    """Is it a pipe or a character device, which has no name that would end in anything?"""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def write_file(path: str | os.PathLike[str], data: bytes | bytearray) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    InputError
        If it cannot be written; what was there before then is still there, and nothing else is.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from nnqft.writing import write_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "greeting.txt"
    ...     write_file(path, b"hello")
    ...     path.read_bytes()
    b'hello'
    """
    target = file_path("path", path)
    with _one_line(target):
        check_writable(target)
        descriptor = _own_descriptor(target)
        if descriptor is not None:
            _into_own(descriptor, data)
            return
        found = look(target)
        if found is None or stat.S_ISREG(found.st_mode):
            _replace(Path(os.path.realpath(target)), data, found)
        elif stat.S_ISFIFO(found.st_mode):
            _into_pipe(target, data)
        elif stat.S_ISCHR(found.st_mode):
            with open(os.open(target, os.O_WRONLY | os.O_NOCTTY), "wb", buffering=0) as file:
                write_all(file, data)
        else:
            raise InputError(f"cannot write {str(target)!r}: it is a disk or a socket; wanted a file")


def write_figure(path: str | os.PathLike[str], figure: Any, dpi: float) -> None:
    """Write a figure of matplotlib in the format that the path ends in, whole or not at all.

    Raises
    ------
    InputError
        If it cannot be drawn or written.
    """
    target, buffer = file_path("path", path), io.BytesIO()
    try:
        figure.savefig(buffer, format=target.suffix.lstrip(".").lower(), dpi=dpi)
    except (OSError, ValueError, RuntimeError) as error:  # one that no program of this machine can draw among them
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"cannot draw the plot {str(target)!r}: {first}") from None
    write_file(target, buffer.getvalue())


class _one_line:  # noqa: N801 - it reads as a statement
    """Turn the system's errors into an InputError of one line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError):
            raise InputError(f"cannot write {str(self.path)!r}: {error.strerror or error}") from None


def look(path: Path) -> os.stat_result | None:
    """What is there, links followed; None if nothing is. A link that leads to itself raises OSError."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _replace(target: Path, data: bytes | bytearray, found: os.stat_result | None) -> None:
    """Put a whole new file in the place of the target, or write into the one that is there if that is not allowed."""
    try:
        put_in_place(target, data, found)
    except OSError as error:
        if found is None or error.errno not in _IN_PLACE:
            raise
        _in_place(target, data)


def _in_place(target: Path, data: bytes | bytearray) -> None:
    with open(target, "r+b", buffering=0) as file:
        before = file.read()
        try:
            _overwrite(file, data)
        except BaseException:
            _overwrite(file, before)
            raise


def _overwrite(file: io.FileIO, data: bytes | bytearray) -> None:
    file.seek(0)
    write_all(file, data)
    file.truncate()
    os.fsync(file.fileno())


def _into_pipe(target: Path, data: bytes | bytearray) -> None:
    """Wait for who reads the pipe until somebody interrupts: opened as usual, it would be waited for, for ever."""
    waits = 0
    while (descriptor := _reader_of(target)) is None:
        waits = _one_more(waits)
        time.sleep(_LOOK)
    with open(descriptor, "wb", buffering=0) as file:
        left = memoryview(data)
        while left:
            written = file.write(left)
            if written is None:  # the pipe is full
                waits = _one_more(waits)
                select.select([], [file], [], _LOOK)
            left = left[written or 0 :]


def _reader_of(pipe: Path) -> int | None:
    """A descriptor to write into a pipe without waiting; None if nobody reads it yet."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


def _one_more(waits: int) -> int:
    """Count a look at a pipe in vain, of which an interrupt leaves no more than some."""
    if waits >= _LOOKS and interrupts.was_noted():
        raise OSError(errno.EINTR, "interrupted, and nobody read the pipe")
    return waits + 1


def _own_descriptor(path: Path) -> int | None:
    """The number of a file that this process has open, where the path is its name, such as /dev/stdout; else None."""
    for _ in range(40):
        folder = os.path.realpath(path.parent)
        if path.name.isdecimal() and folder in (f"/proc/{os.getpid()}/fd", "/dev/fd"):
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)
    return None


def _into_own(descriptor: int, data: bytes | bytearray) -> None:
    """Write where that file is now: opened again, it would be written from its beginning, over what is in it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    with open(os.dup(descriptor), "wb", buffering=0) as file:
        write_all(file, data)
