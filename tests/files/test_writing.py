"""Files are written whole or not at all, into what the path leads to, and nothing else is left behind."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import nnqft
from nnqft import replacing, writing
from nnqft.cli.main import main
from nnqft.interrupts import forget, kept_back
from nnqft.writing import write_file

PROGRAM = str(Path(sys.executable).parent / "nnqft")
LINEAR = ["linear", "-p", "sigma_w=0.5", "-p", "N=10", "-n", "1"]


def refused(path: object, data: bytes = b"new") -> str:
    with pytest.raises(nnqft.InputError) as caught:
        write_file(path, data)
    assert str(caught.value).isprintable()
    return str(caught.value)


def read_from(pipe: Path) -> tuple[threading.Thread, list[bytes]]:
    """A reader of a pipe, and what it has read in the end."""
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    thread.start()
    return thread, got


@pytest.fixture(params=["nameless", "named"])
def way(request, monkeypatch) -> str:
    """Files without a name until they are whole, and what is done where there are none."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return request.param


# Into what the path leads to


def test_a_pipe_is_written_into(tmp_path):
    pipe = tmp_path / "p.json"
    os.mkfifo(pipe)
    thread, got = read_from(pipe)
    write_file(pipe, b"x" * 300_000)
    thread.join(30)
    assert got == [b"x" * 300_000]
    assert stat.S_ISFIFO(os.lstat(pipe).st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_pipe_that_nobody_reads_is_not_waited_for_after_an_interrupt(tmp_path, monkeypatch):
    monkeypatch.setattr("nnqft.writing._LOOKS", 1)
    os.mkfifo(tmp_path / "p.json")
    with kept_back():
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        assert "nobody read the pipe" in refused(tmp_path / "p.json")
    forget()


def test_closed_streams_cost_no_result(tmp_path):
    command = f"exec {shlex.quote(PROGRAM)} compute linear -n 0 --json r.json >&- 2>&- <&-"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path).returncode == 0
    assert nnqft.load(tmp_path / "r.json").converged


def test_a_device_is_written_into(tmp_path):
    before = os.stat(os.devnull)
    write_file(os.devnull, b"x")
    after = os.lstat(os.devnull)
    assert (before.st_ino, before.st_rdev) == (after.st_ino, after.st_rdev)
    link = tmp_path / "null.json"
    link.symlink_to(os.devnull)
    write_file(link, b"x")
    assert link.is_symlink()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no full device")
def test_a_full_device():
    assert "No space left on device" in refused("/dev/full")
    assert stat.S_ISCHR(os.lstat("/dev/full").st_mode)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="has no names of open files")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_by_name_is_not_written_over(tmp_path, name):
    code = f"from nnqft.writing import write_file; print('one'); write_file({name!r}, b'two\\n'); print('three')"
    with open(tmp_path / "out", "wb") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True, timeout=60)
    assert (tmp_path / "out").read_text() == "one\ntwo\nthree\n"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(tmp_path, there, way):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    target, link = folder / "target", tmp_path / "link"
    if there:
        target.write_bytes(b"old")
    link.symlink_to(Path("elsewhere") / "target")
    write_file(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [p.name for p in folder.iterdir()] == ["target"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_permissions_and_owner_stay(tmp_path, mode, way):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    if os.getuid() == 0:
        os.chown(path, 1234, 2345)
    elif mode == 0o444:
        pytest.skip("is not allowed to")
    path.chmod(mode)
    before = path.stat()
    write_file(path, b"new")
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_new_file_honours_the_umask(tmp_path, mask, way):
    before = os.umask(mask)
    try:
        write_file(tmp_path / "x", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o666 & ~mask


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    nnqft.compute(nnqft.theory("linear"), "two_point", order=0).save("~/r.json")
    assert nnqft.load("~/r.json").request.order == 0
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


# Whole or not at all


KILLED = """
import os, signal, sys
from nnqft.writing import write_file
setattr(os, sys.argv[1], lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
write_file("x", b"new" * 1000)
"""


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="knows no files without a name")
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("where", ["fsync", "link"])
def test_a_killed_writer_leaves_nothing(tmp_path, where, there):
    try:
        os.close(os.open(tmp_path, os.O_RDWR | os.O_TMPFILE))
    except OSError:
        pytest.skip("the file system knows no files without a name")
    if there:
        (tmp_path / "x").write_bytes(b"old")
    command = [sys.executable, "-c", KILLED, where]
    assert subprocess.run(command, cwd=tmp_path, check=False, timeout=60).returncode == -signal.SIGKILL
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"] * there


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="knows no files without a name")
@pytest.mark.parametrize("there", [True, False])
def test_a_name_that_the_system_does_not_give(tmp_path, monkeypatch, there):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOENT, "no /proc")

    monkeypatch.setattr(os, "link", refuse)
    if there:
        (tmp_path / "x").write_bytes(b"old")
    write_file(tmp_path / "x", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_somebody_who_is_faster_is_replaced(tmp_path, monkeypatch):
    def other(descriptor: int) -> None:
        monkeypatch.undo()
        (tmp_path / "x").write_bytes(b"of another")
        os.fsync(descriptor)

    monkeypatch.setattr(os, "fsync", other)
    write_file(tmp_path / "x", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_many_writers_of_one_path(tmp_path, way):
    path = tmp_path / "x"
    texts = [bytes([65 + n]) * 200_000 for n in range(8)]
    errors: list[Exception] = []

    def write(text: bytes) -> None:
        try:
            for _ in range(5):
                write_file(path, text)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert path.read_bytes() in texts
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")], ids=repr)
def test_what_goes_wrong_on_the_way_leaves_nothing(tmp_path, monkeypatch, where, error, way):
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def wrong(*_: object) -> None:
        raise error

    monkeypatch.setattr(writing.os, where, wrong)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else nnqft.InputError):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_names_of_temporary_files_are_not_known_before(tmp_path, monkeypatch, way):
    """Links under a name that is taken are not followed: another name is tried."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ".nnqft-00.part").symlink_to(victim)
    names = iter(["00", "01"])
    monkeypatch.setattr(replacing.secrets, "token_hex", lambda _: next(names))
    write_file(tmp_path / "x", b"new")
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "x").read_bytes() == b"new"


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK], ids=errno.errorcode.get)
def test_a_new_file_where_there_are_no_hard_links(tmp_path, monkeypatch, number):
    """It is put in place all the same, and never over what is there or comes in between."""
    path = tmp_path / "x"

    def wrong(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    def late(*_: object, **__: object) -> None:
        (tmp_path / "y").write_bytes(b"of another")
        wrong()

    monkeypatch.setattr(replacing.os, "link", wrong)
    assert replacing.put_new(path, b"new")
    assert not replacing.put_new(path, b"newer")
    assert path.read_bytes() == b"new"
    monkeypatch.setattr(replacing.os, "link", late)
    assert not replacing.put_new(tmp_path / "y", b"newer")
    assert (tmp_path / "y").read_bytes() == b"of another"
    assert {each.name for each in tmp_path.iterdir()} == {"x", "y"}
    path.unlink()
    path.symlink_to("nowhere")
    assert not replacing.put_new(path, b"new")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EBUSY], ids=errno.errorcode.get)
def test_a_file_in_a_folder_that_takes_no_other_is_written_in_place(tmp_path, monkeypatch, number):
    path = tmp_path / "x"
    path.write_bytes(b"something longer")

    def wrong(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(writing.os, "replace", wrong)
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
    # What it held is put back when that fails.
    calls = iter([OSError(errno.ENOSPC, "No space left on device")])
    sync = os.fsync

    def fail_once(descriptor: int) -> None:
        if error := next(calls, None):
            raise error
        sync(descriptor)

    monkeypatch.setattr(writing, "put_in_place", wrong)
    monkeypatch.setattr(writing.os, "fsync", fail_once)
    assert "No space left" in refused(path, b"newer and longer")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no/folder/x", "folder that exists"),
        (".", "folder that exists"),
        ("x" * 300, "too long"),
        ("loop", "symbolic links"),
        ("file/x", ""),
        ("a\0b", "wanted the path of a file"),
        ("", "wanted the path of a file"),
        (3, "wanted the path of a file"),
        (None, "wanted the path of a file"),
    ],
    ids=str,
)
def test_paths_that_cannot_be_written(tmp_path, monkeypatch, path, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    assert said in refused(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "loop"]


def test_a_socket_is_left_alone(tmp_path):
    import socket

    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert "socket" in refused(path)
    assert stat.S_ISSOCK(os.lstat(path).st_mode)


# Commands


def test_a_plot_goes_into_what_is_there(tmp_path, capsys):
    pipe, target, link = tmp_path / "p.png", tmp_path / "t.svg", tmp_path / "l.svg"
    os.mkfifo(pipe)
    target.touch(0o600)
    target.chmod(0o600)
    link.symlink_to(target)
    thread, got = read_from(pipe)
    assert main(["compute", *LINEAR, "--plot", str(pipe)]) == 0
    thread.join(30)
    assert got[0].startswith(b"\x89PNG")
    assert main(["compute", *LINEAR, "--plot", str(link)]) == 0
    assert b"<svg" in target.read_bytes()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert link.is_symlink()


def test_json_into_a_pipe_without_a_suffix(tmp_path, capsys):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread, got = read_from(pipe)
    assert main(["compute", *LINEAR, "--json", str(pipe)]) == 0
    thread.join(30)
    assert got[0].startswith(b"{")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no full device")
@pytest.mark.parametrize("words", [["compute", *LINEAR, "--json", "-"], ["--version"]], ids=" ".join)
def test_standard_output_on_a_full_device(words):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last == "nnqft: cannot write to standard output: No space left on device"
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no full device")
def test_what_could_not_be_printed_is_in_the_file(tmp_path):
    words = [PROGRAM, "compute", *LINEAR, "-O", "two_point,effective_bias", "--json", "r.json"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(words, stdout=full, stderr=full, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r_effective_bias.json", "r_two_point.json"]


def test_a_table_is_printed_whatever_its_file_says(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(writing, "_replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    assert main(["compute", *LINEAR, "--json", str(tmp_path / "r.json")]) == 2
    output = capsys.readouterr()
    assert "all integrals are exact" in output.out
    assert "cannot write" in output.err
    assert output.err.count("\n") == 1
