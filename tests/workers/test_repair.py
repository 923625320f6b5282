"""Ledgers that were damaged, edited, removed or misplaced: no number of theirs is wrong, and each can be repaired."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

import nnqft
from nnqft.cli.main import main
from nnqft_workers import ledger_file, ledger_list, locks
from nnqft_workers.ledger_list import contents
from nnqft_workers.ledger_rows import RECORDS, REQUESTS
from nnqft_workers.local import LocalPool
from nnqft_workers.locks import why_no_locks
from nnqft_workers.repair import repair
from nnqft_workers.salvage import Rows, salvage

REQUEST = {"order": 2, "tau": [0.0, 0.7], "integrator": "vegas", "seed": 3, "neval": 100_000}


def compute(ledger: object, n: int = 3, **more: object) -> nnqft.Result:
    theory = nnqft.theory("linear", N=n, sigma_w=0.6)
    return nnqft.compute(theory, "two_point", ledger=ledger, **(REQUEST | more))


def rows_of(path: Path) -> Rows:
    log = path.with_name(path.name + "-wal")
    return salvage(path.read_bytes(), log.read_bytes() if log.exists() else b"")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A ledger of three requests, one with many times, whose records do not fit into a page."""
    path = tmp_path_factory.mktemp("made") / "run.ledger"
    compute(path)
    compute(path, n=4)
    compute(path, order=1, tau=[0.1 * n for n in range(30)], neval=20_000)
    return path


@pytest.fixture
def path(made, tmp_path) -> Path:
    return Path(shutil.copy(made, tmp_path / "run.ledger"))


def execute(path: Path, *statement: object) -> None:
    connection = sqlite3.connect(path)
    connection.execute(*statement)
    connection.commit()
    connection.close()


# Damage


def test_every_row_is_found_in_the_bytes(path):
    connection = sqlite3.connect(path)
    rows = rows_of(path)
    for table in (REQUESTS, RECORDS):
        held = connection.execute(f"SELECT * FROM {table.name}").fetchall()
        assert {table.whole(row) for row in held} == set(rows[table.name].values())
        assert len(held) > 2
    connection.close()
    assert max(len(row[3]) for row in rows["records"].values()) > 4096


def test_flipped_bits(made, tmp_path):
    """Whatever bit is flipped, no row that counts is another one than was written, and a repair loses at most one."""
    raw, whole, rng = made.read_bytes(), rows_of(made), random.Random(5)
    total = sum(map(len, whole.values()))
    lost = []
    for n in range(60):
        path = tmp_path / f"{n}" / "run.ledger"
        path.parent.mkdir()
        at = rng.randrange(4096 if n % 4 == 0 else len(raw))
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1 :])
        said = repair(path)
        after = rows_of(path)
        assert all(whole[name][key] == row for name in whole for key, row in after[name].items())
        assert not contents(path).damaged
        lost.append(total - sum(map(len, after.values())))
        assert (said == [f"{path}: nothing is damaged"]) == (not path.with_name("run.ledger.damaged").exists())
        assert len(said) == 4 or not lost[-1]
    assert set(lost) == {0, 1}


@pytest.mark.parametrize("text", [b"tablerecords", b"CREATE TABLE requests"])
def test_a_flipped_bit_that_makes_messages_unreadable(path, made, text):
    """SQLite quotes the damaged text, which is no UTF-8 any more."""
    raw = bytearray(path.read_bytes())
    raw[raw.index(text)] ^= 0x80
    path.write_bytes(raw)
    with pytest.raises(nnqft.LedgerError, match="is damaged; write nnqft repair"):
        compute(path)
    assert any("dropped" in line for line in repair(path))
    assert rows_of(path) == rows_of(made)


def test_pages_that_are_overwritten(path, made):
    """What lies elsewhere is saved, and the requests go on."""
    raw = bytearray(path.read_bytes())
    for page in (0, 3, 9):
        raw[4096 * page : 4096 * (page + 1)] = os.urandom(4096)
    path.write_bytes(raw)
    with pytest.raises(nnqft.LedgerError, match="nnqft repair"):
        compute(path)
    said = repair(path)
    assert any("dropped" in line for line in said)
    after = rows_of(path)
    assert 0.5 < len(after["records"]) / len(rows_of(made)["records"]) < 1
    assert (path.parent / "run.ledger.damaged").read_bytes() == bytes(raw)
    assert_array_equal(compute(path).mean, compute(None).mean)


def test_a_log_without_its_file(path):
    """A process was killed, and then the file was removed but not its log."""
    code = (
        "import sys, os, nnqft\n"
        "from nnqft_workers.ledger import Ledger\n"
        "Ledger.close = lambda self: os._exit(0)\n"
        "nnqft.compute(nnqft.theory('linear', N=3, sigma_w=0.6), 'two_point', order=1, integrator='vegas', seed=9,"
        " neval=20_000, ledger=sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True, timeout=60)
    log = path.with_name("run.ledger-wal")
    assert log.stat().st_size
    both = rows_of(path)
    path.unlink()
    with pytest.raises(nnqft.LedgerError, match=r"'run\.ledger-wal' of it lies there still; nnqft repair"):
        compute(path)
    repair(path)
    saved = rows_of(path)
    assert 0 < len(saved["records"]) < len(both["records"])
    assert saved["requests"].items() <= both["requests"].items()


def flip_a_chunk(path: Path) -> None:
    connection = sqlite3.connect(path)
    key, body = connection.execute(
        "SELECT key, body FROM records WHERE kind = 'chunk' AND length(body) < 200 LIMIT 1"
    ).fetchone()
    connection.execute(
        "UPDATE records SET body = ? WHERE key = ?", (body[:40] + bytes([body[40] ^ 1]) + body[41:], key)
    )
    connection.commit()
    connection.close()


def test_a_chunk_that_was_flipped_is_computed_again(path, monkeypatch):
    wanted = compute(None)
    flip_a_chunk(path)
    assert contents(path).damaged == {"records": 1}
    seen: list[object] = []
    submit = LocalPool.submit
    monkeypatch.setattr(LocalPool, "submit", lambda pool, parcel: (seen.extend(parcel.items), submit(pool, parcel))[1])
    found = compute(path)
    assert len(seen) == 1
    assert_array_equal(found.mean, wanted.mean)
    assert "1 record of ledger" in found.notes[-1]
    assert not contents(path).damaged
    assert not any("record" in note for note in compute(path).notes)


def test_a_request_that_was_edited_is_not_resumed(path, capsys):
    execute(path, "UPDATE requests SET request = replace(request, '[\"N\", 3]', '[\"N\", 7]'), status = 'open'")
    for words in (["resume", str(path), "--request", "1"], ["resume", str(path)]):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert "changed or damaged, write nnqft repair" in err
        assert err.count("\n") == 1
    assert main(["ledger", str(path)]) == 0
    assert "3 of its requests changed or damaged" in capsys.readouterr().out
    assert main(["repair", str(path)]) == 0
    assert "dropped 3 requests that did not match" in capsys.readouterr().out
    assert dict(compute(path).request.parameters)["N"] == 3
    assert [row["status"] for row in contents(path).requests] == ["done"]


ODD: dict[str, tuple[str, str]] = {
    "null": ("status", "NULL"),
    "blob": ("reason", "x'ff00'"),
    "text": ("samples", "'many'"),
    "huge": ("samples", "9223372036854775807"),
    "real": ("changed", "1e300"),
    "long": ("reason", "hex(zeroblob(1000000))"),
    "escapes": ("reason", "char(27) || '[31m'"),
    "not text": ("request", "cast(x'c3280a' as text)"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_cells(path, case, capsys):
    """Tables of somebody else's making, too: without the NOT NULL of ours."""
    column, value = ODD[case]
    connection = sqlite3.connect(path)
    connection.executescript(
        "ALTER TABLE requests RENAME TO old; CREATE TABLE requests AS SELECT * FROM old; DROP TABLE old;"
        f"UPDATE requests SET {column} = {value} WHERE number = 1;"
    )
    connection.close()
    for words in (["ledger", str(path)], ["ledger", str(path), "--json"], ["resume", str(path)]):
        status = main(words)
        output = capsys.readouterr()
        assert all(line.isprintable() for line in (output.out + output.err).splitlines())
        assert status == (2 if words[0] == "resume" else 0), output.err
        assert output.err.count("\n") == (status == 2)


def test_text_of_a_file_steers_no_terminal(path, capsys):
    row = contents(path).requests[0]
    request = json.loads(row["request"]) | {"model": "\x1b[31mred\x07"}
    values = row | {"number": 9, "request": json.dumps(request), "reason": "\x1b]0;title\x07", "status": "open"}
    execute(path, REQUESTS.replace, REQUESTS.sealed(tuple(values[name] for name in REQUESTS.columns)))
    for words in (["ledger", str(path)], ["resume", str(path), "--request", "9"]):
        main(words)
        output = capsys.readouterr()
        assert "[31m" in output.out + output.err
        assert all(line.isprintable() for line in (output.out + output.err).splitlines())


def test_repair_of_what_is_none(tmp_path, path):
    for name, text in {"diary": b"dear diary" * 900, "empty": b"", "short": b"SQLite"}.items():
        other = tmp_path / name
        other.write_bytes(text)
        with pytest.raises(nnqft.NnqftError, match=r"stays as it is|is empty|cannot be repaired") as caught:
            repair(other)
        assert str(caught.value).isprintable()
        assert other.read_bytes() == text
    with pytest.raises(nnqft.LedgerError, match=r"does not exist|cannot be repaired"):
        repair(tmp_path / "missing")
    foreign = tmp_path / "songs"
    execute(foreign, "CREATE TABLE songs (title TEXT)")
    before = foreign.read_bytes()
    with pytest.raises(nnqft.LedgerError, match="cannot be repaired"):
        repair(foreign)
    assert foreign.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["diary", "empty", "run.ledger", "short", "songs"]


def test_a_ledger_of_an_earlier_version_is_left_alone(path):
    execute(path, "DELETE FROM records")
    execute(path, "DELETE FROM requests")
    execute(path, "PRAGMA user_version = 1")
    before = path.read_bytes()
    for act in (compute, contents, repair):
        with pytest.raises(nnqft.LedgerError, match="has format 1"):
            act(path)
    assert path.read_bytes() == before


def test_a_ledger_in_use_is_not_repaired(path):
    flip_a_chunk(path)
    connection = ledger_file.connect(path)
    with pytest.raises(nnqft.LedgerError, match="in use by this very process"):
        repair(path)
    connection.close()
    code = (
        "import sys; from pathlib import Path; from nnqft_workers.ledger_file import connect\n"
        "c = connect(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(nnqft.LedgerError, match="in use by another process"):
            repair(path)
        other.stdin.close()
    assert "dropped 1 record" in repair(path)[1]


# While it is used


def at_parcel(monkeypatch, number: int, action: Callable[[], object]) -> None:
    """Do something when so many parcels have been submitted."""
    left, submit = [number], LocalPool.submit

    def watched(pool: LocalPool, parcel: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            action()
        submit(pool, parcel)

    monkeypatch.setattr(LocalPool, "submit", watched)


@pytest.mark.parametrize("endings", [("",), ("", "-wal", "-shm")], ids=["file", "all"])
def test_a_file_that_is_removed_is_written_again(tmp_path, monkeypatch, endings):
    path = tmp_path / "run.ledger"
    compute(path, neval=50_000)
    before = contents(path).records

    def remove() -> None:
        for ending in endings:
            path.with_name(path.name + ending).unlink()

    at_parcel(monkeypatch, 2, remove)
    found = compute(path, neval=400_000)
    assert "was removed while it was used" in found.notes[-1]
    assert_array_equal(found.mean, compute(None, neval=400_000).mean)
    after = contents(path)
    assert after.records["chunk"] > before["chunk"]
    assert after.records["map"] == before["map"]
    assert len(after.requests) == 2
    assert not after.damaged
    assert os.listdir(tmp_path) == ["run.ledger"]


def test_a_file_that_is_replaced_by_another_stops_the_run(tmp_path, monkeypatch):
    path = tmp_path / "run.ledger"
    compute(path, neval=50_000)

    def replace() -> None:
        (tmp_path / "other").write_text("dear diary" * 50)
        os.replace(tmp_path / "other", path)

    at_parcel(monkeypatch, 2, replace)
    with pytest.raises(nnqft.IntegrationError, match="was removed or replaced while it was used") as caught:
        compute(path, neval=400_000)
    assert caught.value.result.total.samples > 0
    assert path.read_text() == "dear diary" * 50


# Where it cannot be


@pytest.mark.parametrize("name", [":memory:", "file:x", "file:x?mode=memory", "pipe", "folder", "/dev/null", "a\0b"])
def test_what_is_no_file(tmp_path, monkeypatch, name, capsys):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.mkdir("folder")
    with pytest.raises(nnqft.NnqftError, match="ledger") as caught:
        compute(name)
    assert str(caught.value).isprintable()
    if "\0" not in name:
        assert main(["ledger", name]) == main(["repair", name]) == 2
        assert capsys.readouterr().err.count("\n") == 2
    assert sorted(os.listdir()) == ["folder", "pipe"]


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    compute("~/run.ledger", neval=20_000)
    assert contents("~/run.ledger").requests[0]["status"] == "done"
    assert os.listdir(tmp_path) == ["run.ledger"]


@pytest.mark.parametrize("left", ["something", "nothing", "no file"])
def test_a_journal_of_something_else_is_not_rolled_back(tmp_path, left):
    """A foreign database whose writer was killed, with a hot journal beside it."""
    path, code = (
        tmp_path / "run.ledger",
        (
            "import os, sqlite3, sys\n"
            "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "c.execute('CREATE TABLE songs (title TEXT)')\n"
            "c.execute('INSERT INTO songs VALUES (zeroblob(20000))')\n"
            "c.execute('PRAGMA cache_size = 1'); c.execute('BEGIN')\n"
            "c.execute('UPDATE songs SET title = zeroblob(30000)'); os._exit(0)"
        ),
    )
    subprocess.run([sys.executable, "-c", code, path], check=True, timeout=60)
    journal = tmp_path / "run.ledger-journal"
    assert journal.stat().st_size
    if left == "nothing":
        path.write_bytes(b"")
    elif left == "no file":
        path.unlink()
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    for act in (compute, contents):
        with pytest.raises(nnqft.LedgerError, match=r"something else|lies there still|does not exist"):
            act(path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_a_log_of_something_else_is_not_written_into_a_ledger(path):
    code = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('PRAGMA journal_mode = WAL')\n"
        "c.execute('CREATE TABLE songs (title TEXT)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, path.parent / "songs"], check=True, timeout=60)
    os.rename(path.parent / "songs-wal", path.parent / "run.ledger-wal")
    before = path.read_bytes()
    for act in (compute, contents):
        with pytest.raises(nnqft.LedgerError, match="of something else beside it"):
            act(path)
    assert path.read_bytes() == before
    repair(path)
    assert len(contents(path).requests) == 3


def test_without_locks_it_is_refused_at_the_start(tmp_path, monkeypatch):
    path = tmp_path / "run.ledger"
    assert why_no_locks(tmp_path) == ""
    monkeypatch.setattr(locks.fcntl, "lockf", lambda *_: None)
    with pytest.raises(nnqft.LedgerError, match="cannot be locked, and two writers would destroy it"):
        compute(path)
    monkeypatch.delattr(fcntl, "F_OFD_SETLK", raising=False)
    with pytest.raises(nnqft.LedgerError, match="cannot be locked"):
        compute(path)

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks.fcntl, "lockf", no_locks)
    with pytest.raises(nnqft.LedgerError, match="No locks available"):
        compute(path)
    assert not os.listdir(tmp_path)
    monkeypatch.undo()
    monkeypatch.delattr(fcntl, "F_OFD_SETLK", raising=False)
    assert why_no_locks(tmp_path) == ""


def test_a_medium_that_cannot_be_written(path, monkeypatch, capsys):
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    access = os.access
    monkeypatch.setattr("os.access", lambda p, mode: mode != os.W_OK and access(p, mode))
    assert len(contents(path).requests) == 3
    assert main(["ledger", str(path)]) == 0
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before
    with pytest.raises(nnqft.LedgerError, match="cannot be written"):
        compute(path)
    assert repair(path) == [f"{path}: nothing is damaged"]
    path.write_bytes(before["run.ledger"][:9000])
    with pytest.raises(nnqft.LedgerError, match="is damaged, and it or its folder cannot be written"):
        repair(path)


def test_a_log_on_a_medium_that_cannot_be_written(path, monkeypatch):
    connection = ledger_file.connect(path)
    row = contents(path).requests[0] | {"request": "{}", "number": 4}
    connection.execute(REQUESTS.replace, REQUESTS.sealed(tuple(row[name] for name in REQUESTS.columns)))
    folder = path.parent / "medium"
    folder.mkdir()
    for ending in ("", "-wal"):
        shutil.copy(path.with_name(path.name + ending), folder)
    connection.close()
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    monkeypatch.setattr(ledger_list.os, "access", lambda *_: False)
    assert [each["number"] for each in contents(folder / path.name).requests] == [1, 2, 3, 4]
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_locks_of_a_ledger_survive_its_being_looked_at(path):
    """To open and close a file gives up the locks that the process has on it, whoever got them."""
    connection = ledger_file.connect(path)
    contents(path)
    with pytest.raises(nnqft.LedgerError):
        repair(path)
    code = (
        "import fcntl, os, sys\n"
        "fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, timeout=60, check=False)
    connection.close()
    assert b"BlockingIOError" in done.stderr


ALIEN = {
    "other columns": ["DROP TABLE requests", "CREATE TABLE requests (a)"],
    "one column more": ["ALTER TABLE records ADD COLUMN more"],
    "a view": ["ALTER TABLE records RENAME TO those", "CREATE VIEW records AS SELECT * FROM those"],
    "a trigger": ["CREATE TRIGGER t AFTER INSERT ON records BEGIN UPDATE records SET body = x'00'; END"],
}


@pytest.mark.parametrize("case", ALIEN)
def test_tables_that_are_not_those_of_a_ledger(path, case, capsys):
    """Refused before anything is written, and repaired: what is whole is kept."""
    for statement in ALIEN[case]:
        execute(path, statement)
    with pytest.raises(nnqft.LedgerError, match="its tables are not those of a ledger; write nnqft repair"):
        compute(path)
    assert main(["repair", str(path)]) == 0
    assert repair(path) == [f"{path}: nothing is damaged"]
    assert_array_equal(compute(path).mean, compute(None).mean)
