"""Fetching corpora from a web server on the loopback address that the test starts, and from nowhere else."""

import hashlib
import io
import os
import re
import threading
import zipfile
from collections import deque
from contextlib import nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import corpora.data.download
from corpora.data.datasets import CHECKSUM_FILE, DATASETS, Dataset, Source, data_directory, fetch, get_dataset, listing
from corpora.data.download import CHUNK, Exact
from corpora.errors import CorpusError
from corpora.files.locks import try_lock

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
TEXT = b"".join(b"line %d of a small corpus\n" % i for i in range(20_000))  # 0.6 MB: several packets


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def exactly(data):
    return Exact(len(data), sha256(data))


class Server(ThreadingHTTPServer):
    """Serves ``files`` (name -> bytes).  ``cut``: after how many bytes to close the connection, one a request."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cut, self.ranges, self.lengths, self.requests = {}, deque(), True, True, []
        self.url = f"http://127.0.0.1:{self.server_port}/data"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        data = server.files.get(self.path.removeprefix("/data/"))
        if data is None:
            return self.send_error(404)
        begin = 0
        wanted = self.headers.get("Range")
        if wanted and server.ranges:
            begin = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if begin >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if server.lengths:
            self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        body = data[begin:]
        if server.cut:
            body = body[: server.cut.popleft()]
            self.close_connection = True
        with suppress(ConnectionError):  # the client may stop reading
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(corpora.data.download.time, "sleep", lambda seconds: None)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def register(monkeypatch, files, *sources):
    monkeypatch.setitem(DATASETS, "toy", Dataset("toy", "a toy", "none", files, sources))


@pytest.fixture
def toy(server, monkeypatch):
    """A corpus of one plain file whose checksum is published."""
    server.files["toy.txt"] = TEXT
    register(monkeypatch, {"toy.txt": exactly(TEXT)}, Source(f"{server.url}/toy.txt", {"toy.txt": None}))
    return server


def names(directory):
    """Of the files in a folder; the random part of those of unfinished ones is shown as *."""
    return sorted(re.sub(r"\.[0-9a-f]{16}\.", ".*.", path.name) for path in directory.iterdir())


def test_a_file_is_fetched_verified_and_not_fetched_again(toy, tmp_path):
    (got,) = fetch("toy", tmp_path / "new" / "folder")
    assert got.path == tmp_path / "new" / "folder" / "toy.txt"
    assert got.path.read_bytes() == TEXT
    assert (got.sha256, got.size, got.checksum, got.source) == (
        sha256(TEXT),
        len(TEXT),
        "verified",
        f"{toy.url}/toy.txt",
    )
    assert names(got.path.parent) == ["toy.txt"]
    (again,) = fetch("toy", tmp_path / "new" / "folder")
    assert (again.checksum, again.source) == ("verified", None)
    assert len(toy.requests) == 1


def test_a_broken_download_is_continued_within_the_run(toy, tmp_path):
    toy.cut.extend([200_000, 100_000])
    (got,) = fetch("toy", tmp_path)
    assert got.path.read_bytes() == TEXT
    begins = [int(wanted[len("bytes=") : -1]) for _, wanted in toy.requests[1:]]
    assert len(begins) == 2
    # what was read in full chunks before each break is not asked for again
    assert 200_000 - CHUNK < begins[0] <= 200_000 < begins[1] <= begins[0] + 100_000
    assert names(tmp_path) == ["toy.txt"]


def test_a_broken_download_is_continued_by_the_next_run(toy, tmp_path):
    toy.cut.append(200_000)
    with pytest.raises(
        CorpusError, match=r"^toy: http://127.*ended after 19\d,\d+ of 568,890 bytes; run again to go on"
    ):
        fetch("toy", tmp_path, retries=0)
    assert names(tmp_path) == ["toy.txt.*.part"]
    come = next(tmp_path.iterdir()).read_bytes()
    assert 200_000 - CHUNK < len(come) <= 200_000
    assert TEXT.startswith(come)
    (got,) = fetch("toy", tmp_path, retries=0)
    assert got.path.read_bytes() == TEXT
    assert toy.requests[-1][1] == f"bytes={len(come)}-"


@pytest.mark.parametrize("change", ["no ranges", "other version", "other size", "too much"])
def test_what_cannot_be_continued_starts_over(toy, tmp_path, change):
    old = {"other version": TEXT[::-1], "other size": TEXT[::-1][:-100_000]}.get(change, TEXT)
    (tmp_path / f"toy.txt.{'0' * 16}.part").write_bytes(old[:200_000] if change != "too much" else TEXT * 2)
    toy.ranges = change != "no ranges"
    if change == "other size":
        toy.files["toy.txt"] = TEXT[:150_000]
        with pytest.raises(CorpusError, match=r"150,000 bytes, where 568,890 are expected"):
            fetch("toy", tmp_path)
        assert names(tmp_path) == []
        return
    (got,) = fetch("toy", tmp_path)
    assert got.path.read_bytes() == TEXT
    assert names(tmp_path) == ["toy.txt"]


def test_a_part_that_was_complete_is_used(toy, tmp_path):
    (tmp_path / f"toy.txt.{'a' * 16}.part").write_bytes(TEXT)
    (got,) = fetch("toy", tmp_path)
    assert got.path.read_bytes() == TEXT
    assert names(tmp_path) == ["toy.txt"]
    assert toy.requests == []


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "link at the old name", "pipe", "being written"])
def test_files_of_others_are_neither_followed_nor_written(toy, tmp_path, kind):
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    trap = folder / f"toy.txt.{'0' * 16}.part"
    if kind == "symbolic link":
        trap.symlink_to(mine)
    elif kind == "hard link":
        trap.hardlink_to(mine)
    elif kind == "link at the old name":
        (folder / "toy.txt.part").symlink_to(mine)
        (folder / "toy.txt").symlink_to(tmp_path / "new")
    elif kind == "pipe":
        os.mkfifo(trap)
    with trap.open("wb") if kind == "being written" else nullcontext() as other:
        if other is not None:
            assert try_lock(other.fileno())
        (got,) = fetch("toy", folder)
    assert got.path.read_bytes() == TEXT
    assert not got.path.is_symlink()
    assert mine.read_bytes() == b"mine"
    assert not (tmp_path / "new").exists()


def test_names_of_unfinished_files_cannot_be_foretold(toy, tmp_path):
    for folder in ("a", "b"):
        toy.cut.append(200_000)
        with pytest.raises(CorpusError):
            fetch("toy", tmp_path / folder, retries=0)
    first, second = (next((tmp_path / folder).iterdir()).name for folder in ("a", "b"))
    assert first != second


def test_a_wrong_download_is_kept_aside_and_reported_in_one_line(toy, tmp_path):
    wrong = TEXT[::-1]
    toy.files["toy.txt"] = wrong
    with pytest.raises(CorpusError) as error:
        fetch("toy", tmp_path)
    line = str(error.value)
    assert "\n" not in line
    assert f"SHA-256 is {sha256(wrong)}, expected {sha256(TEXT)} as published" in line
    assert f"kept as {tmp_path / 'toy.txt.bad'}" in line
    assert names(tmp_path) == ["toy.txt.bad"]


def test_a_download_of_another_size_is_not_begun(toy, tmp_path):
    toy.files["toy.txt"] = b"an error page"
    with pytest.raises(CorpusError, match=r"toy\.txt: 13 bytes, where 568,890 are expected"):
        fetch("toy", tmp_path)
    assert names(tmp_path) == []


def test_a_download_without_end_stops_at_the_size(toy, tmp_path):
    toy.files["toy.txt"], toy.lengths = TEXT * 20, False
    with pytest.raises(CorpusError, match=r"more than the 568,890 bytes that are expected"):
        fetch("toy", tmp_path)
    assert names(tmp_path) == []


def test_nothing_is_downloaded_without_a_checksum(server, monkeypatch, tmp_path):
    server.files |= {"toy.txt": TEXT, "toy.zip": zipped({"toy/a": TEXT})}
    for source in (
        Source(f"{server.url}/toy.txt", {"toy.txt": None}),
        Source(f"{server.url}/toy.zip", {"toy.txt": "toy/a"}),
    ):
        register(monkeypatch, {"toy.txt": None}, source)
        with pytest.raises(CorpusError, match="its size and SHA-256 are not known, so it is not downloaded"):
            fetch("toy", tmp_path)
    assert server.requests == []


@pytest.fixture
def archived(server, monkeypatch):
    """A corpus of a file that is known by its archive alone."""
    data = server.files["toy.zip"] = zipped({"toy/a": TEXT})
    register(monkeypatch, {"toy.txt": None}, Source(f"{server.url}/toy.zip", {"toy.txt": "toy/a"}, exactly(data)))
    return server


def test_a_checksum_that_is_not_published_is_recorded_and_holds_from_then_on(archived, tmp_path):
    (got,) = fetch("toy", tmp_path)
    assert got.checksum == "verified"  # its archive is
    assert (tmp_path / CHECKSUM_FILE).read_bytes() == f"{sha256(TEXT)}  toy.txt\n".encode()
    (again,) = fetch("toy", tmp_path)
    assert (again.checksum, again.source) == ("verified", None)
    got.path.write_bytes(b"changed")
    with pytest.raises(CorpusError, match=rf"expected {sha256(TEXT)} as recorded in .*{CHECKSUM_FILE}; move it away"):
        fetch("toy", tmp_path)


def test_of_a_file_that_was_put_there_the_checksum_is_recorded(archived, tmp_path):
    (tmp_path / "toy.txt").write_bytes(TEXT)
    assert [file.checksum for file in fetch("toy", tmp_path)] == ["recorded"]
    assert [file.checksum for file in fetch("toy", tmp_path)] == ["verified"]


def test_a_file_that_is_there_and_wrong_is_left_alone(toy, tmp_path):
    (tmp_path / "toy.txt").write_bytes(b"mine")
    with pytest.raises(CorpusError, match=r"toy\.txt: SHA-256 is .* move it away to fetch it anew$"):
        fetch("toy", tmp_path)
    assert (tmp_path / "toy.txt").read_bytes() == b"mine"
    assert toy.requests == []


def test_a_broken_checksum_file_is_reported_with_its_line(archived, tmp_path):
    (tmp_path / CHECKSUM_FILE).write_text(f"{'0' * 64}  other.txt\nrubbish\n")
    with pytest.raises(CorpusError, match=rf"{CHECKSUM_FILE}:2: expected a SHA-256"):
        fetch("toy", tmp_path)


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def corrupted(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def test_named_members_of_an_archive_are_unpacked_and_the_archive_is_fetched_once(server, monkeypatch, tmp_path):
    members = {"toy/a": b"a text\n" * 100, "toy/b": b"b text\n", "../evil": b"no"}
    data = server.files["toy.zip"] = zipped(members)
    source = Source(f"{server.url}/toy.zip", {"a.txt": "toy/a", "b.txt": "toy/b"}, exactly(data))
    register(monkeypatch, {"a.txt": None, "b.txt": exactly(b"b text\n")}, source)
    got = fetch("toy", tmp_path / "in")
    assert [f.path.read_bytes() for f in got] == [b"a text\n" * 100, b"b text\n"]
    # the archive's checksum is published, so its members are verified; theirs are recorded for later
    assert [f.checksum for f in got] == ["verified", "verified"]
    assert len(server.requests) == 1
    assert names(tmp_path / "in") == [CHECKSUM_FILE, "a.txt", "b.txt"]
    assert names(tmp_path) == ["in"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped({"other": b""}), "no toy/a in this archive"),
        (b"not an archive", "not an archive that can be read"),
        (zipped({"toy/a": TEXT})[:-100], "not an archive that can be read"),
        (corrupted(zipped({"toy/a": TEXT})), "not an archive that can be read"),
        (zipped({"toy/a": TEXT[::-1]}), f"SHA-256 of toy/a is .*, expected {sha256(TEXT)} as published"),
    ],
    ids=["without it", "rubbish", "cut short", "a wrong byte", "another file"],
)
def test_a_bad_archive_is_one_line_and_leaves_nothing(server, monkeypatch, tmp_path, data, message):
    server.files["toy.zip"] = data
    source = Source(f"{server.url}/toy.zip", {"a.txt": "toy/a"}, exactly(data))
    register(monkeypatch, {"a.txt": exactly(TEXT)}, source)
    with pytest.raises(CorpusError, match=message) as error:
        fetch("toy", tmp_path)
    assert "\n" not in str(error.value)
    assert names(tmp_path) == []


def test_an_archive_that_was_put_there_is_used_and_kept(server, monkeypatch, tmp_path):
    data = zipped({"toy/a": b"a text\n"})
    register(monkeypatch, {"a.txt": None}, Source(f"{server.url}/toy.zip", {"a.txt": "toy/a"}, exactly(data)))
    (tmp_path / "toy.zip").write_bytes(data)
    assert fetch("toy", tmp_path)[0].path.read_bytes() == b"a text\n"
    assert server.requests == []
    assert names(tmp_path) == [CHECKSUM_FILE, "a.txt", "toy.zip"]
    (tmp_path / "a.txt").unlink()
    (tmp_path / "toy.zip").write_bytes(b"other")
    with pytest.raises(CorpusError, match=rf"toy\.zip: SHA-256 is .*, expected {sha256(data)} as published"):
        fetch("toy", tmp_path)


def test_the_next_source_is_tried_when_one_fails(server, monkeypatch, tmp_path):
    data = server.files["mirror.zip"] = zipped({"a": b"a text\n"})
    register(
        monkeypatch,
        {"a.txt": exactly(b"a text\n")},
        Source(f"{server.url}/gone.txt", {"a.txt": None}),
        Source(f"{server.url}/mirror.zip", {"a.txt": "a"}, exactly(data)),
    )
    (got,) = fetch("toy", tmp_path)
    assert got.source == f"{server.url}/mirror.zip"
    assert names(tmp_path) == ["a.txt"]


def test_no_such_page_no_server_no_answer_and_no_place_to_write_are_one_line_each(toy, tmp_path):
    toy.files.clear()
    with pytest.raises(CorpusError) as error:
        fetch("toy", tmp_path)
    assert str(error.value) == (
        f"toy: {toy.url}/toy.txt: HTTP 404 Not Found; run again to go on, or put toy.txt into {tmp_path} yourself"
    )
    with Server() as silent:  # bound, but nobody serves: it accepts and never answers
        with pytest.raises(CorpusError, match=r"no answer within 0\.2 s"):
            fetch("toy", tmp_path, base_url=silent.url, timeout=0.2)
        free = silent.url
    with pytest.raises(CorpusError, match="connection refused"):
        fetch("toy", tmp_path, base_url=free)
    toy.files["toy.txt"] = TEXT
    (tmp_path / "new" / "toy.txt.bad").mkdir(parents=True)
    toy.files["toy.txt"] = TEXT[::-1]
    with pytest.raises(CorpusError, match=r"Is a directory"):
        fetch("toy", tmp_path / "new")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CorpusError, match="cannot be made a folder"):
        fetch("toy", tmp_path / "file")


def test_an_unknown_name_is_one_line_with_a_hint():
    with pytest.raises(CorpusError, match=r"^tinyshakespeare: no such corpus; did you mean tiny-shakespeare\?"):
        fetch("tinyshakespeare")
    assert get_dataset("ptb").name == "ptb"


def test_progress_counts_every_byte_once_and_is_closed(toy, tmp_path):
    calls = []

    class Bar:
        def __init__(self, total, desc, unit):
            self.done = 0
            calls.append((total, desc, unit, self))

        def update(self, n):
            self.done += n

        def close(self):
            self.closed = True

    toy.cut.append(200_000)
    fetch("toy", tmp_path, progress=Bar)
    assert [call[:3] for call in calls] == [(len(TEXT), "toy.txt", "B")] * 2
    assert 200_000 - CHUNK < calls[0][3].done <= 200_000
    assert calls[1][3].done == len(TEXT)  # with what was there already
    assert all(call[3].closed for call in calls)


def test_the_list_needs_no_network_and_tells_what_is_there(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("corpora.data.datasets.data_directory", lambda name: tmp_path / name)
    (tmp_path / "text8").mkdir()
    (tmp_path / "text8" / "text8").write_bytes(b"")
    rows = {row.name: row for row in listing()}
    assert list(rows) == ["ptb", "text8", "enwik8", "wikitext-2", "tiny-shakespeare"]
    assert [row.present for row in rows.values()] == [False, True, False, False, False]
    assert rows["text8"].download_bytes == 31_344_016  # as its page says
    assert rows["ptb"].download_bytes == 5_951_345  # of three files
    assert rows["ptb"].files == ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")
    assert "LDC" in rows["ptb"].licence
    assert all(url.startswith("http") for row in rows.values() for url in row.urls)


def test_every_file_has_a_source_and_every_download_a_size_and_a_checksum():
    for dataset in DATASETS.values():
        for file, exact in dataset.files.items():
            assert any(file in source.files for source in dataset.sources)
            assert exact is None or re.fullmatch(r"[0-9a-f]{64}", exact.sha256)
        for source in dataset.sources:
            assert set(source.files) <= set(dataset.files)
            for file, member in source.files.items():
                exact = dataset.files[file] if member is None else source.archive
                assert exact.size > 0
                assert re.fullmatch(r"[0-9a-f]{64}", exact.sha256)
    assert data_directory("ptb").name == "ptb"


@pytest.mark.skipif(not (SHARED / "ptb").is_dir(), reason="needs ../shared/data/ptb, the Penn Treebank")
def test_penn_treebank_is_the_one_of_the_papers(server, tmp_path):
    files = {name: (SHARED / "ptb" / name).read_bytes() for name in DATASETS["ptb"].files}
    server.files |= files
    got = fetch("ptb", tmp_path, base_url=server.url)
    assert [(f.path.name, f.checksum) for f in got] == [(name, "verified") for name in files]
    assert [f.path.read_bytes() for f in got] == list(files.values())


@pytest.mark.skipif(not (SHARED / "classics").is_dir(), reason="needs ../shared/data/classics, tiny-shakespeare")
def test_tiny_shakespeare_has_the_published_checksum():
    published = DATASETS["tiny-shakespeare"].files["tinyshakespeare.txt"]
    assert exactly((SHARED / "classics" / "tinyshakespeare.txt").read_bytes()) == published


@pytest.mark.skipif(not (SHARED / "wikitext2").is_dir(), reason="needs ../shared/data/wikitext2")
def test_wikitext_2_has_the_published_checksum():
    text = (SHARED / "wikitext2" / "valid.txt").read_bytes()
    assert exactly(text) == DATASETS["wikitext-2"].files["wiki.valid.tokens"]
