"""Do locks on files work in a folder? Without them two writers would destroy a ledger."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

_TRY = """
import fcntl, os, sys
try:
    fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(3)
"""


def why_no_locks(folder: Path) -> str:
    """Why locks cannot be relied on in a folder; empty if they work.

    A file of its own is locked as SQLite locks, and then by a second owner, who must not get it. OSError if no file can
    be made there.
    """
    descriptor, name = tempfile.mkstemp(prefix=".nnqft-", suffix=".lock", dir=folder)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _second_gets_it(name):
            return "two owners got one lock at the same time"
    except OSError as error:
        return error.strerror or str(error)
    finally:
        os.close(descriptor)
        with suppress(OSError):
            os.unlink(name)
    return ""


def _second_gets_it(name: str) -> bool:
    command = getattr(fcntl, "F_OFD_SETLK", None)
    if command is not None and sys.maxsize > 2**32:
        second = os.open(name, os.O_RDWR)
        try:
            # struct flock: a lock of an open file, which excludes those of the process that opened it, too.
            fcntl.fcntl(second, command, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            return True
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
        finally:
            os.close(second)
    # Locks of one process do not exclude each other, so it takes another one.
    done = subprocess.run([sys.executable, "-I", "-S", "-c", _TRY, name], check=False, timeout=60)
    return done.returncode == 0
