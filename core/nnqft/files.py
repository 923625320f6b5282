"""JSON files, with a checksum over everything in them that is compared when they are read."""

from __future__ import annotations

import hashlib
import json
import os
import select
import stat
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnqft.errors import InputError, one_line, short
from nnqft.writing import file_path, write_file

FORMAT = 2
"""Version of the JSON files; those of version 1 had no checksum."""
_TAIL = ', "checksum": "'
_FEW = 100
"""Values of a list or an object up to which it is written piece by piece."""
_LENGTH = 16
"""Bytes of the digest."""


def write_json(path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Write the data with their checksum; arrays become lists, nan and inf become null.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_file(path, sealed_text(data))


def sealed_text(data: Mapping[str, Any]) -> bytearray:
    """What `sealed` gives as the line of JSON that is written; made piece by piece, as it may be large."""
    text = bytearray()
    for part in pieces(sealed(data)):
        text += part
    text += b"\n"
    return text


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data as JSON values, with the version of the format and, in the end, the checksum.

    The checksum is the digest of the values, in whatever order and layout they are written, and the CRC of the text as
    it is written here, by which `mended` finds a flipped bit.

    Examples
    --------
    >>> from nnqft.files import sealed
    >>> sorted(sealed({"kind": "number", "mean": 0.5}))
    ['checksum', 'format', 'kind', 'mean']
    """
    plain = {"format": FORMAT, **to_plain(data)}
    crc, last = 0, b""
    for part in pieces(plain):
        crc, last = zlib.crc32(last, crc), part
    crc = zlib.crc32(last[:-1], crc)
    return plain | {"checksum": f"{_digest(plain)}-{crc:08x}"}


def _digest(values: Any) -> str:
    digest = hashlib.blake2b(digest_size=_LENGTH)
    for part in pieces(values, sort_keys=True):
        digest.update(part)
    return digest.hexdigest()


def pieces(values: Any, *, sort_keys: bool = False, depth: int = 5) -> Iterator[bytes]:
    """What `json.dumps` gives, piece by piece: one string of all of it would take as much memory again."""
    if not depth or not isinstance(values, dict | list) or not 0 < len(values) <= _FEW:
        yield json.dumps(values, sort_keys=sort_keys, allow_nan=False).encode()
        return
    between = b"{" if isinstance(values, dict) else b"["
    for each in (sorted(values) if sort_keys else values) if isinstance(values, dict) else values:
        yield between
        between = b", "
        if isinstance(values, dict):
            yield json.dumps(each).encode() + b": "
        inner = values[each] if isinstance(values, dict) else each
        yield from pieces(inner, sort_keys=sort_keys, depth=depth - 1)
    yield b"}" if isinstance(values, dict) else b"]"


def read_json(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """The data of a file whose ``"kind"`` is that.

    Raises
    ------
    InputError
        If it cannot be read, was changed, or is something else.
    """
    data = parse_json(path, kind)
    if data.get("kind") != kind:
        raise InputError(f"{str(path)!r} holds no {kind}; write one with save(path)")
    return data


def parse_json(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """The values of a file that `write_json` wrote; what cannot be checked is said in a warning and in its notes.

    Raises
    ------
    InputError
        If it cannot be read or was changed; the message says that `what` was wanted.
    """
    data, doubt = read_document(path, what)
    if doubt:
        warnings.warn(f"{str(path)!r} {doubt}", UserWarning, stacklevel=4)
        if isinstance(data.get("notes"), list):
            data["notes"].append(f"the file it was read from {doubt}")
    return data


def read_document(path: str | os.PathLike[str], what: str) -> tuple[dict[str, Any], str]:
    """The values of a file that `write_json` wrote, and why they cannot be checked, empty if they were.

    Raises
    ------
    InputError
        If it cannot be read or was changed; the message says that `what` was wanted.
    """
    target = file_path("path", path)
    name = f"cannot read a {what} from {str(path)!r}"
    try:
        data = _parsed(_bytes_of(target))
        if not isinstance(data, dict) or ("format" not in data and "kind" not in data):
            raise InputError(f"{str(path)!r} holds no {what}; write one with save(path)")
        found = data.pop("checksum", "")
        digest = _digest(data)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from None
    except MemoryError:
        raise InputError(f"{name}: it does not fit into memory") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        cause = "it is nested too deeply" if isinstance(error, RecursionError) else one_line(str(error))[:100]
        raise InputError(f"{name}: {cause}; it is damaged or no such file. If save(path) wrote it, nnqft repair may"
                         " mend it") from None  # fmt: skip
    if found is None:
        return data, 'was read unchecked, as its "checksum" is null'
    if not found and data.get("format", 1) == 1:
        return data, "was read unchecked, as an earlier version of nnqft wrote it without a checksum"
    if not isinstance(found, str) or found.partition("-")[0] != digest:
        raise InputError(
            f"{str(path)!r} was changed or damaged after it was written: checksum {short(found)}, but that of what it"
            f" holds is '{digest}'; nnqft repair may mend it. If you changed it on purpose, write \"checksum\": null"
            " in it, and it is read with a note"
        )
    return data, ""


def _parsed(raw: bytes) -> Any:
    """The values of JSON text; ValueError says in a few words why there are none."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is no text in UTF-8") from None
    if not text.lstrip().startswith("{"):
        raise ValueError("it is empty" if not text.strip() else "it does not begin with {")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON at line {error.lineno}, column {error.colno}") from None


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _bytes_of(path: Path) -> bytes:
    """All of a file, or of a pipe that somebody has open for writing."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
        raise ValueError("it is a folder" if stat.S_ISDIR(mode) else "it is a device")
    # Without O_NONBLOCK a pipe that nobody writes would be waited for, for ever.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb", buffering=0) as file:
        parts: list[bytes] = []
        while True:
            part = file.read(1 << 20)
            if part is None:  # a pipe in which there is nothing yet
                select.select([file], [], [])
                continue
            if not part:
                return b"".join(parts)
            parts.append(part)
            # Not all of a large file, to find out that it is none of ours.
            if len(parts) == 1 and not part.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return part


def mended(raw: bytes) -> bytes | None:
    """The bytes that `write_json` wrote, of which any one bit was flipped since; None if it was more than that.

    The CRC of the text says which bit it must have been, and the digest of the values whether that is so.
    """
    length = len(_TAIL) + 2 * _LENGTH + len("-01234567") + len('"}\n')
    body, tail = raw[:-length], raw[-length:]
    try:
        written = int(tail[-11:-3], 16)
    except ValueError:
        written = None
    flip = None if written is None else _flipped_bit(zlib.crc32(body) ^ written, len(body))
    for at, bit in [(0, 0), *([flip] if flip else [])]:
        guess = body[:at] + bytes([body[at] ^ bit]) + body[at + 1 :] if body else b""
        try:
            whole = (json.dumps(sealed(_parsed(guess + b"}"))) + "\n").encode()
        except (ValueError, RecursionError, TypeError):
            continue
        off = sum(bin(x ^ y).count("1") for x, y in zip(whole, raw, strict=False))
        if len(whole) == len(raw) and off <= 1:
            return whole
    return None


def _flipped_bit(difference: int, length: int) -> tuple[int, int] | None:
    """The byte and the bit of a text of that length whose flip changes its CRC-32 by that; None if there is none."""
    table = [zlib.crc32(bytes([k])) ^ zlib.crc32(b"\0") for k in range(256)]
    # The CRC is linear in what was flipped, and each step over a zero byte can be undone.
    first = {entry >> 24: k for k, entry in enumerate(table)}
    bits = {table[1 << k]: 1 << k for k in range(8)}
    for at in range(length - 1, -1, -1):
        if difference in bits:
            return at, bits[difference]
        k = first[difference >> 24]
        difference = ((difference ^ table[k]) << 8 | k) & 0xFFFFFFFF
    return None


def array_from(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The finite numbers of a JSON list as an array of that shape; ValueError if they are not that."""
    array = np.array(values, dtype=float)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"numbers of shape {array.shape}, wanted {shape}")
    return array


def to_plain(value: Any) -> Any:
    """The value as JSON values: arrays become lists, nan and inf, which JSON lacks, null."""
    if isinstance(value, Mapping):
        return {str(name): to_plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "iub" or (value.dtype.kind == "f" and np.isfinite(value).all()):
            return value.tolist()
        return to_plain(value.tolist())
    if isinstance(value, list | tuple):
        return [to_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
