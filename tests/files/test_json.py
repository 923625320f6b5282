"""Saved results vouch for themselves: no number of a file that was changed is ever taken for what was computed."""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnqft
from nnqft.cli.main import main
from nnqft.files import mended, read_document, sealed, write_json
from nnqft_plugins.networks.published.forms import published
from nnqft_plugins.networks.simulation import simulate
from nnqft_plugins.networks.simulation.result import load as load_simulation
from nnqft_workers.repair import repair

LINEAR = nnqft.theory("linear", N=10, sigma_w=0.5)


def sampled() -> nnqft.Result:
    return nnqft.compute(LINEAR, "two_point", order=1, tau=[0.0, 1.0], integrator="vegas", neval=20_000)


MADE: dict[str, Callable[[], Any]] = {
    "result": sampled,
    "derived": lambda: nnqft.compute(LINEAR, "correlation_length", order=1),
    "dyson": lambda: nnqft.dyson(LINEAR, order=1, intervals=8, reach=4.0),
    "simulation": lambda: simulate(LINEAR, networks=20, tau=[0.0, 1.0]),
    "published": lambda: published(LINEAR, 5.0),
}
LOAD: dict[str, Callable[[Path], Any]] = {
    "simulation": load_simulation,
    "published": lambda path: read_document(path, "published form")[0],
}


@pytest.fixture(scope="module", params=MADE)
def saved(request, tmp_path_factory) -> tuple[bytes, Callable[[Path], Any]]:
    path = tmp_path_factory.mktemp("saved") / "x.json"
    MADE[request.param]().save(path)
    return path.read_bytes(), LOAD.get(request.param, nnqft.load)


def flip(raw: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1 :]


def values(raw: bytes) -> Any:
    data = json.loads(raw)
    return data.pop("checksum") and data


def test_flipped_bits(saved, tmp_path):
    """Whatever bit of a file is flipped, it is refused in one line, or holds the numbers that were written."""
    raw, load = saved
    rng, path = random.Random(1), tmp_path / "f.json"
    refused: list[str] = []
    load_all = len(raw) < 20_000
    for n in range(60):
        path.write_bytes(damaged := flip(raw, rng))
        try:
            data, doubt = read_document(path, "result")
            assert not doubt
            assert data == values(raw)
            if load_all and n < 20:
                load(path)
        except nnqft.InputError as error:
            refused.append(str(error))
        assert mended(damaged) == raw
    assert len(refused) > 50
    assert all("f.json" in line and line.isprintable() for line in refused)


def test_every_bit_of_the_end_is_mended():
    raw = (json.dumps(sealed({"kind": "thing", "mean": [0.1, -2.5e-300]})) + "\n").encode()
    for n in range(8 * len(raw)):
        assert mended(raw[: n // 8] + bytes([raw[n // 8] ^ 1 << n % 8]) + raw[n // 8 + 1 :]) == raw
    twice = bytearray(raw)
    twice[3], twice[9] = twice[3] ^ 1, twice[9] ^ 4
    assert mended(bytes(twice)) is None
    assert mended(b"") is mended(b"{") is None


def test_repair_of_a_result(saved, tmp_path):
    raw, load = saved
    path = tmp_path / "r.json"
    path.write_bytes(raw)
    assert repair(path) == [f"{path}: nothing is damaged"]
    for n in (1, 2):
        path.write_bytes(damaged := flip(raw[:-60], random.Random(n)) + raw[-60:])
        said = repair(path)
        assert "restored" in said[0]
        assert path.read_bytes() == raw
        kept = tmp_path / ("r.json.damaged" if n == 1 else "r.json.damaged-2")
        assert kept.read_bytes() == damaged
        assert str(kept) in said[1]
    load(path)
    path.write_bytes(raw[:100])
    with pytest.raises(nnqft.InputError, match="cannot be mended"):
        repair(path)
    assert path.read_bytes() == raw[:100]


def test_layout_and_order_are_free(tmp_path):
    path = tmp_path / "r.json"
    result = sampled()
    result.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True, ensure_ascii=False))
    assert nnqft.load(path).mean.tolist() == result.mean.tolist()


def test_an_edited_file_is_told_how_to_be_read(tmp_path):
    path = tmp_path / "r.json"
    sampled().save(path)
    data = json.loads(path.read_text())
    data["reason"] = "because"
    path.write_text(json.dumps(data))
    with pytest.raises(nnqft.InputError, match='write "checksum": null in it'):
        nnqft.load(path)
    path.write_text(json.dumps(data | {"checksum": None}))
    with pytest.warns(UserWarning, match="unchecked"):
        loaded = nnqft.load(path)
    assert loaded.reason == "because"
    assert "unchecked" in loaded.notes[-1]
    loaded.save(path)  # the note goes with it
    assert "unchecked" in nnqft.load(path).table()
    data["mean"][0] += 0.25  # of which nothing is made: it would be ignored
    path.write_text(json.dumps(data | {"checksum": None}))
    with (
        pytest.warns(UserWarning, match="null"),
        pytest.raises(nnqft.InputError, match="mean is not that of the series"),
    ):
        nnqft.load(path)
    del data["checksum"]
    path.write_text(json.dumps(data))
    with pytest.raises(nnqft.InputError, match="changed or damaged"):
        nnqft.load(path)


def test_what_a_pipe_got_is_loaded_too(tmp_path, capsys):
    assert main(["compute", "linear", "-n", "1", "--json", "-"]) == 0
    (tmp_path / "r.json").write_text(capsys.readouterr().out)
    assert nnqft.load(tmp_path / "r.json").request.order == 1


DEEP = 100_000
GARBAGE = {
    "empty": b"",
    "blank": b" \n\t ",
    "binary": bytes(range(256)) * 4,
    "utf-16": '{"format": 2}'.encode("utf-16"),
    "latin-1": '{"format": 2, "reason": "é"}'.encode("latin-1"),
    "nan": b'{"format": 1, "request": NaN}',
    "infinity": b'{"format": 1, "request": -Infinity}',
    "huge float": b'{"format": 1, "request": 1e999}',
    "huge integer": b'{"format": 1, "request": ' + b"9" * 10_000 + b"}",
    "big integer": b'{"format": 1, "request": ' + b"9" * 1_000 + b"}",
    "deep list": b'{"format": 1, "a": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep object": b'{"format":' * DEEP + b"1" + b"}" * DEEP,
    "rather deep": b'{"format": 1, "request": ' + b"[" * 600 + b"]" * 600 + b"}",
    "deep and broken": b'{"a":' * DEEP,
    "two": b'{"format": 1} {"format": 1}',
    "list": b"[1, 2]",
    "text": b'"text"',
    "format": b'{"format": [1]}',
    "true": b'{"format": true}',
    "checksum": b'{"format": 2, "checksum": [[1]]}',
    "escapes": b'{"format": 1, "request": {"model": "\\u001b[31m\\u0007"}}',
    "surrogate": b'{"format": 1, "request": "\\ud800"}',
}


@pytest.mark.filterwarnings("ignore:.*unchecked")
@pytest.mark.parametrize("case", GARBAGE)
@pytest.mark.parametrize("load", [nnqft.load, load_simulation])
def test_garbage(tmp_path, case, load):
    path = tmp_path / "g.json"
    path.write_bytes(GARBAGE[case])
    with pytest.raises(nnqft.InputError, match=r"g\.json") as caught:
        load(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_paths_that_hold_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    cases = {
        tmp_path: "a folder",
        tmp_path / "no": "No such file",
        tmp_path / "pipe": "it is empty",
        tmp_path / "loop": "symbolic links",
        tmp_path / ("x" * 300): "too long",
        "/dev/zero": "a device",
        "a\0b": "wanted the path",
    }
    for path, said in cases.items():
        with pytest.raises(nnqft.InputError, match=said) as caught:
            nnqft.load(path)
        assert str(caught.value).isprintable()
        assert "Errno" not in str(caught.value)


def test_a_pipe_with_a_writer_is_read(tmp_path):
    result = sampled()
    result.save(tmp_path / "r.json")
    os.mkfifo(pipe := tmp_path / "pipe")
    descriptor = os.open(pipe, os.O_RDWR)

    def write() -> None:
        os.write(descriptor, (tmp_path / "r.json").read_bytes())
        # What nobody has read yet is lost when the last one closes the pipe.
        while fcntl.ioctl(descriptor, termios.FIONREAD, b"1234") != bytes(4):
            time.sleep(0.01)
        os.close(descriptor)

    writer = threading.Thread(target=write)
    writer.start()
    assert nnqft.load(pipe).mean.tolist() == result.mean.tolist()
    writer.join(30)


def test_many_processes_and_one_path(tmp_path):
    code = (
        "import sys; from nnqft.files import write_json\n"
        "for n in range(40): write_json(sys.argv[1], {'kind': 'thing', 'who': sys.argv[2], 'n': [n] * 2000})"
    )
    path = tmp_path / "x.json"
    write_json(path, {"kind": "thing", "who": "x", "n": []})
    both = [subprocess.Popen([sys.executable, "-c", code, path, who]) for who in "ab"]
    while any(process.poll() is None for process in both):
        assert read_document(path, "thing")[0]["who"] in "abx"
    assert [process.returncode for process in both] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_of_arrays_survive(tmp_path):
    rng = np.random.default_rng(1)
    array = np.frombuffer(rng.bytes(8 * 500), "<f8")
    array = array[np.isfinite(array)]
    write_json(tmp_path / "x.json", {"kind": "thing", "array": array})
    assert read_document(tmp_path / "x.json", "thing")[0]["array"] == array.tolist()
