"""Compiled code in files: what is damaged, full, forbidden or somebody else's stops nothing and is not believed."""

import errno
import functools
import marshal
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from corpora.compute import cache_place, code_cache
from corpora.compute.jit import exact_kernel
from corpora.jobs import second_python

pytestmark = pytest.mark.skipif(bool(os.environ.get("NUMBA_DISABLE_JIT")), reason="nothing is compiled")
ROOT = Path(__file__).resolve().parents[2]
on_unix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders have no owner and mode")


def twice(x):
    return 2 * x


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A process that knows nothing of folders yet, with a cache and a temporary place of its own."""
    for name in ("code", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "code"))
    monkeypatch.setattr(cache_place.tempfile, "tempdir", str(tmp_path / "temporary"))
    forget(monkeypatch)
    yield tmp_path
    forget(monkeypatch)


def forget(monkeypatch):
    monkeypatch.setattr(cache_place, "_closed", {})
    monkeypatch.setattr(cache_place, "_told", False)
    for remembered in ("lasting_folders", "_found_private_folder", "_temporary_place"):
        getattr(cache_place, remembered).cache_clear()


def close(places, monkeypatch):
    """The cache lies where no folder can be, for root neither."""
    (places / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(places / "file" / "code"))
    cache_place.lasting_folders.cache_clear()


def no_place():
    raise FileNotFoundError(errno.ENOENT, "no usable temporary folder")


def was_loaded():
    """Whether a new process would find the code; it does what it should in any case."""
    kernel = exact_kernel(twice)
    assert kernel(21) == 42
    return kernel.stats == (1, 0)


def files(folder):
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def test_code_is_compiled_once_and_then_loaded(places, capsys):
    assert [was_loaded() for _ in range(3)] == [False, True, True]
    (file,) = files(places)
    assert file.name.startswith("test_code_cache.twice.")
    assert capsys.readouterr() == ("", "")


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:5],
        lambda content: content[:-1],
        lambda content: bytes(len(content)),
        lambda content: content[: len(content) // 2] + bytes(len(content) - len(content) // 2),
        flipped,
        lambda content: b"\x80\x04" + content[2:],
        lambda content: content + b"\n",
    ],
    ids=["empty", "its head", "cut", "zeros", "half zeros", "a bit", "another's", "longer"],
)
def test_damaged_code_is_compiled_anew_and_replaced(places, capsys, damage):
    was_loaded()
    (file,) = files(places)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert [was_loaded(), was_loaded()] == [False, True]
    assert files(places) == [file]
    assert capsys.readouterr() == ("", "")


def test_code_that_is_whole_and_cannot_be_used_is_compiled_anew(places):
    was_loaded()
    (file,) = files(places)
    content = marshal.dumps(("of another", "form"))
    file.write_bytes(code_cache._MAGIC + code_cache._checksum(content) + content)
    assert [was_loaded(), was_loaded()] == [False, True]


def test_a_folder_that_cannot_be_is_named_once_and_a_private_one_is_used(places, monkeypatch, capsys):
    close(places, monkeypatch)
    assert [was_loaded(), was_loaded()] == [False, True]
    exact_kernel(twice)(0.5)
    (private,) = (places / "temporary").iterdir()
    assert len(files(private)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"Note: compiled code cannot be kept in {places / 'file' / 'code'}: {os.strerror(errno.ENOTDIR)};"
        f" it is kept in {private}. Set NUMBA_CACHE_DIR to another folder."
    ]
    forget(monkeypatch)
    assert was_loaded(), "the next process finds it"
    assert capsys.readouterr().err == ""


@on_unix
def test_the_private_folder_is_the_users_alone_and_its_name_cannot_be_foretold(places, monkeypatch):
    close(places, monkeypatch)
    was_loaded()
    (private,) = (places / "temporary").iterdir()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert len(private.name) > len(cache_place._prefix()) + 6
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert not cache_place._is_private(str(private)), "nobody else takes it"


@on_unix
def test_a_folder_that_others_prepared_is_not_used(places, monkeypatch):
    close(places, monkeypatch)
    temporary, elsewhere = places / "temporary", places / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    link, open_to_all = (temporary / f"{cache_place._prefix()}{letter}" for letter in "ab")
    link.symlink_to(elsewhere)
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    was_loaded()
    assert files(elsewhere) == files(open_to_all) == []
    (made,) = set(temporary.iterdir()) - {link, open_to_all}
    assert files(made)


@on_unix
def test_a_cache_in_a_home_that_is_open_to_all_is_not_believed(places, monkeypatch, capsys):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setattr(cache_place.platformdirs, "user_cache_dir", lambda *_, **__: str(places / "home"))
    beside, own = (folder for folder, _ in cache_place.lasting_folders("/nowhere/source"))
    cache_place._closed[beside] = PermissionError(errno.EACCES, "closed")
    assert cache_place.write("/nowhere/source", "name", b"mine") == own
    assert list(cache_place.read("/nowhere/source", "name")) == [b"mine"]
    Path(own).chmod(0o777)
    assert list(cache_place.read("/nowhere/source", "name")) == []
    assert cache_place.write("/nowhere/source", "name", b"mine").startswith(str(places / "temporary"))
    assert list(cache_place.read("/nowhere/source", "name")) == [b"mine"]


def test_with_no_place_at_all_it_is_compiled_in_every_process(places, monkeypatch, capsys):
    close(places, monkeypatch)
    monkeypatch.setattr(cache_place.tempfile, "gettempdir", no_place)
    assert [was_loaded(), was_loaded()] == [False, False]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("; every process compiles it anew. Set NUMBA_CACHE_DIR to another folder.")


@pytest.mark.parametrize("step", ["makedirs", "replace"])
def test_a_full_disk_leaves_no_part_of_a_file(places, monkeypatch, capsys, step):
    code, real = str(places / "code"), getattr(os, step)

    def on_full_disk(path, *rest, **options):
        if str(path).startswith(code):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return real(path, *rest, **options)

    monkeypatch.setattr(os, step, on_full_disk)
    assert [was_loaded(), was_loaded()] == [False, True]
    assert files(places / "code") == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Note: compiled code cannot be kept in {code}: {os.strerror(errno.ENOSPC)}; it is kept in ")


def test_what_an_older_state_of_the_source_left_is_removed(places):
    was_loaded()
    (file,) = files(places)
    name, stamp, rest = file.name.rsplit(".", 3)[0], *file.name.rsplit(".", 3)[1:3]
    older, other = (file.with_name(f"{n}.{'0' * len(stamp)}.{rest}.nbc") for n in (name, name.replace("twice", "half")))
    older.touch()
    other.touch()
    exact_kernel(twice)(0.5)
    assert not older.exists()
    assert other.exists()
    assert file.exists()


def test_code_depends_on_the_source_of_the_modules_that_its_module_imports(tmp_path, monkeypatch):
    for name, source in (("inner", "A = 1"), ("entry", "from small.inner import (\n    A,\n)"), ("apart", "B = 1")):
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        monkeypatch.setitem(sys.modules, f"small.{name}", type("Module", (), {"__file__": str(path)}))
    monkeypatch.setattr(code_cache, "_PACKAGES", {"small"})

    def stamp(changed=None, at=code_cache._STARTED - 60):
        if changed:
            (tmp_path / f"{changed}.py").write_text("A = 2")
        for path in tmp_path.iterdir():
            os.utime(path, (at, at))
        code_cache.source_stamp.cache_clear()
        code_cache._source.cache_clear()
        return code_cache.source_stamp(str(tmp_path / "entry.py"))

    first = stamp()
    assert len(first) == 16
    assert stamp("apart") == first
    assert stamp("inner") != first
    assert stamp(at=code_cache._STARTED + 1e-3) is None, "changed while this process runs"
    code_cache._source.cache_clear()


def test_what_one_process_compiles_is_claimed_also_where_the_first_folder_cannot_be_written(places, monkeypatch):
    (places / "file").touch()
    folders = tuple((str(folder), str(folder)) for folder in (places / "file" / "code", places / "own"))
    monkeypatch.setattr(cache_place, "lasting_folders", functools.cache(lambda source: folders))
    with cache_place.claimed("/nowhere", "name") as mine:
        assert mine
        with cache_place.claimed("/nowhere", "name") as theirs:
            assert not theirs
    with cache_place.claimed("/nowhere", "name") as mine:
        assert mine
    assert files(places / "own") == [], "no lock is left"


def test_the_second_process_takes_no_module_from_the_folder_that_the_user_stands_in(tmp_path, monkeypatch):
    (tmp_path / "bisect.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    code = "import bisect; print(sys.argv[1:], bisect.__file__)"
    process = second_python.start(code, "a", "b", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    out = process.communicate()[0].decode()
    assert out.startswith("['a', 'b'] ")
    assert str(tmp_path) not in out


KERNELS = """
import sys
from corpora.compute.jit import exact_kernel

@exact_kernel
def total(x):
    return x + x + {number}

print(total(20), total(0.5))
"""


def process(tmp_path, number=2, **environment):
    path = tmp_path / "kernels.py"
    if not path.exists():
        path.write_text(KERNELS.format(number=number))
    return subprocess.Popen(
        [sys.executable, str(path)], env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_processes_that_compile_at_once_leave_code_that_is_right(tmp_path):
    running = [process(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "code")) for _ in range(2)]
    assert [run.communicate() for run in running] == [("42 3.0\n", "")] * 2
    kept = {file: file.read_bytes() for file in files(tmp_path / "code")}
    assert len(kept) == 2, "one file for each type"
    assert process(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "code")).communicate() == ("42 3.0\n", "")
    assert {file: file.read_bytes() for file in files(tmp_path / "code")} == kept


def test_a_process_without_a_cache_says_it_in_one_line(tmp_path):
    (tmp_path / "temporary").mkdir()
    closed = {"NUMBA_CACHE_DIR": str(tmp_path / "kernels.py"), "TMPDIR": str(tmp_path / "temporary")}
    out, err = process(tmp_path, **closed).communicate()
    assert out == "42 3.0\n"
    assert len(err.splitlines()) == 1
    assert err.startswith(f"Note: compiled code cannot be kept in {tmp_path / 'kernels.py'}: ")
    assert process(tmp_path, **closed).communicate() == ("42 3.0\n", "")
