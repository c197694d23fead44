"""The corpora command, run as a user runs it."""

import contextlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from corpora.cli import corpora, run
from corpora.data.grammars import GRAMMARS

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and devices of POSIX")
PROCESS = [sys.executable, "-m", "corpora"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
TRAIN = "the cat sat\nthe dog sat on the mat\n\na cat saw the dog\n"
TEST = "the cat saw a bird\na bird sat\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with the files that the examples speak of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.txt").write_text(TRAIN * 10)
    (tmp_path / "test.txt").write_text(TEST)
    (tmp_path / "words.vocab").write_text("</s> 3\nthe 4\ncat 2\n<unk> 1\n")
    return tmp_path


@pytest.fixture
def call(monkeypatch):
    """call(line, stdin=b"") -> (exit code, output, errors), in this process."""

    def call(line, stdin=b""):
        out, err = io.BytesIO(), io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patch.setattr(sys, "stdout", io.TextIOWrapper(out))
            patch.setattr(sys, "stderr", io.TextIOWrapper(err))
            code = run(shlex.split(line))
            sys.stdout.flush()
            sys.stderr.flush()
            return code, out.getvalue().decode(), err.getvalue().decode()

    return call


def process(line, **options):
    return subprocess.run([*PROCESS, *shlex.split(line)], capture_output=True, env=ENVIRONMENT, timeout=60, **options)


def help_examples():
    for name, command in corpora.commands.items():
        lines = [line.strip() for line in command.help.splitlines() if line.strip().startswith("corpora ")]
        assert lines, f"the help of {name} has no example"
        yield from lines


# ---- help


@pytest.mark.parametrize("example", list(help_examples()))
def test_every_example_of_the_help_runs(example, call):
    data = b""
    for line in example.split(" | "):
        program, _, arguments = line.partition(" ")
        assert program == "corpora"
        code, out, err = call(arguments, data)
        assert code == 0, err
        data = out.encode()


def test_every_command_has_help_and_an_option_help(call):
    assert call("--help")[0] == 0
    for name in corpora.commands:
        code, out, _ = call(f"{name} --help")
        assert code == 0
        assert out.startswith(f"Usage: corpora {name} ")


def test_help_loads_nothing_heavy():
    found = process("--help")
    assert found.returncode == 0
    script = "import sys, corpora.cli; print([m for m in ('numpy', 'numba', 'tqdm', 'pooch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=ENVIRONMENT, check=True)
    assert done.stdout.strip() == b"[]"


def test_help_answers_within_a_fifth_of_a_second():
    # the best of several, because other work of the machine must not fail this
    times = []
    for _ in range(5):
        start = time.perf_counter()
        process("split --help")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.2


def test_version(call):
    code, out, _ = call("--version")
    assert code == 0
    assert out.startswith("corpora (rnnlm-w2v) ")


# ---- what the commands do


def test_vocab_counts_words_most_frequent_first(call):
    code, out, err = call("vocab -", TRAIN.encode())
    # ties in the order of first appearance: cat sat dog, then on mat a saw
    expected = ["</s> 4", "the 4", "cat 2", "sat 2", "dog 2", "on 1", "mat 1", "a 1", "saw 1"]
    assert (code, err) == (0, "")
    assert out.splitlines() == expected


def test_vocab_limits_and_forms(call):
    assert call("vocab - --min-count 2 --form srilm", TRAIN.encode())[1].split() == [
        "</s>",
        "the",
        "<unk>",
        "cat",
        "sat",
        "dog",
    ]
    assert call("vocab - --max-vocab 3", TRAIN.encode())[1].splitlines() == ["</s> 4", "<unk> 10", "the 4"]
    assert call("vocab - --tokenizer char --lower", b"Aba\n")[1].splitlines() == ["</s> 1", "a 2", "b 1"]


def test_vocab_of_a_list_counts_its_words_in_its_order(call):
    assert call("vocab test.txt --vocab words.vocab")[1].splitlines() == ["</s> 2", "the 1", "cat 1", "<unk> 6"]


def test_encode_gives_ids_that_numpy_reads(call, folder):
    code, out, err = call("encode test.txt --vocab words.vocab -o ids.npy")
    assert (code, out) == (0, "")
    assert err == "10 tokens, 2 of them </s>; 4 words in the vocabulary; 6 OOVs\n"
    ids = np.load(folder / "ids.npy", mmap_mode="r")
    assert ids.dtype == np.int32
    # the cat saw a bird </s> a bird sat </s>
    assert ids.tolist() == [1, 2, 3, 3, 3, 0, 3, 3, 3, 0]


def test_encode_with_the_vocabulary_that_it_saved_gives_the_same(call, folder):
    assert call("encode train.txt --save-vocab v -o a.npy")[0] == 0
    assert call("encode train.txt --vocab v -o b.npy")[0] == 0
    assert (folder / "a.npy").read_bytes() == (folder / "b.npy").read_bytes()
    words = [line.split()[0] for line in (folder / "v").read_text().splitlines()]
    text = " ".join(words[i] for i in np.load(folder / "a.npy"))
    assert text.split() == (TRAIN * 10).replace("\n", " </s> ").split()


def test_encode_into_a_pipe():
    out = process("encode test.txt --vocab words.vocab -o -").stdout
    assert np.load(io.BytesIO(out)).size == 10


def test_stats_against_another_text(call):
    code, out, _ = call("stats test.txt --against train.txt --json")
    found = json.loads(out)
    assert code == 0
    # bird and bird of 8 tokens; 1 of the 6 types
    assert (found["tokens"], found["oov_tokens"], found["oov_rate"]) == (8, 2, 0.25)
    assert (found["types"], found["oov_type_rate"]) == (6, 1 / 6)
    plain = call("stats test.txt --against train.txt")[1]
    assert "oov rate             0.25\n" in plain


def test_split_writes_three_files(call, folder):
    text = "".join(f"line {i}\n" for i in range(40))
    assert call("split - --valid 0.1 --test 0.05 --seed 3 -o p", text.encode())[0] == 0
    parts = [(folder / f"p.{part}.txt").read_text().splitlines() for part in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [34, 4, 2]
    assert sorted(line for part in parts for line in part) == sorted(text.splitlines())
    assert call("split - --test 0 -o q", text.encode())[0] == 0
    assert not (folder / "q.test.txt").exists()


def test_sample_is_clean_running_text(call):
    code, out, _ = call("sample python-docs")
    lines = out.splitlines()
    words = out.split()
    assert code == 0
    assert len(lines) > 1000
    assert len(words) > 20_000
    assert out == out.lower()
    assert all(lines)
    assert "::=" not in out
    assert ">>>" not in out
    assert "**" not in out
    assert sum(word.isalpha() for word in words) > 0.75 * len(words)
    # held-out lines must not be training lines
    assert len(set(lines)) > 0.95 * len(lines)


def test_sample_separates_documents(call):
    documents = call("sample python-docs --documents")[1].split("\n\n")
    assert len(documents) > 30
    assert "\n".join(document for document in documents if document) + "\n" == call("sample python-docs")[1]


@pytest.mark.parametrize("name", GRAMMARS)
def test_every_grammar_is_written_and_the_same_again(name, call):
    code, out, err = call(f"grammar {name} -n 5 --seed 3")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 5
    assert call(f"grammar {name} -n 5 --seed 3")[1] == out
    assert call(f"grammar {name} -n 5 --seed 4")[1] != out
    rows = [json.loads(line) for line in call(f"grammar {name} -n 5 --seed 3 --continuations")[1].splitlines()]
    assert [" ".join(row["words"]) for row in rows] == out.splitlines()
    assert all(len(row["continuations"]) == len(row["words"]) + 1 for row in rows)
    assert rows[0]["continuations"][-1] == ["</s>"]


def test_every_option_of_every_grammar_is_an_option_of_the_command(call):
    for grammar in GRAMMARS.values():
        for name, option in grammar.options.items():
            assert (
                call(f"grammar {grammar.name} -n 1 --{name} {option.high if name == 'symbols' else option.default}")[0]
                == 0
            )


def test_the_entropy_of_reber_strings(call):
    # every choice is one bit and 6 are expected in 9 symbols (with the end): summed over the graph by hand
    out = call("grammar reber --entropy")[1]
    assert "bits per sentence    6\n" in out
    assert "perplexity           1.5874\n" in out
    assert call("grammar adding --entropy")[0] == 1


def test_fetch_from_a_server_on_the_loopback_address(call, folder):
    (folder / "served").mkdir()
    (folder / "served" / "input.txt").write_text("not Shakespeare\n")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder / "served"))

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        mirror = f"http://127.0.0.1:{server.server_port}"
        code, out, err = call(f"fetch tiny-shakespeare --to data --mirror {mirror}")
    finally:
        server.shutdown()
        server.server_close()
    # its size is known, and this file is another
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "input.txt: 16 bytes, where 1,115,394 are expected" in err


def test_fetch_without_a_network_is_one_line(call):
    # nobody listens on port 9 of the loopback address
    code, out, err = call("fetch ptb --to data --mirror http://127.0.0.1:9")
    assert (code, out) == (1, "")
    assert err.startswith("Error: ptb: ")
    assert len(err.splitlines()) == 1


def test_fetch_list_names_source_licence_and_place(call):
    assert {"ptb", "text8", "enwik8", "wikitext-2", "tiny-shakespeare"} <= {
        row["name"] for row in json.loads(call("fetch --list --json")[1])
    }
    out = call("fetch --list")[1]
    assert out.count("licence") == out.count("files") >= 5


# ---- what goes wrong


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("stats missing.txt", 1, "missing.txt: no such file"),
        ("stats '*.none'", 1, "no file matches"),
        ("stats empty.txt", 1, "empty.txt: no words"),
        ("vocab empty.txt", 1, "empty.txt: no words"),
        ("split empty.txt -o p", 1, "empty.txt: no text"),
        ("stats empty", 1, "empty: no files in this directory"),
        ("vocab train.txt -o empty", 1, "empty: is a directory"),
        ("vocab train.txt -o test.txt", 1, "test.txt: already exists; --force replaces it"),
        ("encode train.txt -o test.txt --save-vocab v", 1, "already exists"),
        ("encode train.txt -o x.npy --save-vocab test.txt", 1, "already exists"),
        ("split train.txt -o taken", 1, "taken.valid.txt: already exists"),
        ("sample python-docs -o test.txt", 1, "already exists"),
        ("grammar reber -o test.txt", 1, "already exists"),
        ("vocab train.txt -o no/where", 1, "there is no directory no"),
        ("vocab train.txt --min-count 1000", 1, "no word is left in the vocabulary after --min-count 1000"),
        ("stats test.txt --vocab rubbish", 1, "rubbish:2: "),
        ("stats rubbish.gz", 1, "rubbish.gz: "),
        ("split train.txt --by document --valid 0.001 -o p", 1, "too few for --valid 0.001"),
        ("encode train.txt -o x.npy", 2, "--vocab or --save-vocab is needed"),
        ("encode train.txt -o x --save-vocab x", 2, "the same file"),
        ("encode train.txt --save-vocab v", 2, "'-o' / '--output'"),
        ("encode train.txt -o x.npy --vocab words.vocab --min-count 2", 2, "--vocab cannot be used with --min-count"),
        ("stats test.txt --against train.txt --vocab words.vocab", 2, "--against cannot be used with --vocab"),
        ("vocab", 2, "TEXT"),
        ("vocab train.txt --min-count 0", 2, "--min-count"),
        ("vocab train.txt --max-vocab 2", 2, "--max-vocab"),
        ("vocab train.txt --tokenizer words", 2, "--tokenizer"),
        ("vocab train.txt --threads 0", 2, "--threads"),
        ("vocab train.txt --tmp missing", 2, "--tmp"),
        ("split train.txt --valid 1 -o p", 2, "--valid"),
        ("split train.txt --valid 0.5 --test 0.5 -o p", 2, "leave nothing to train on"),
        ("split train.txt -o -", 2, "three file names"),
        ("sample foo", 2, "there is python-docs"),
        ("grammar foo", 2, "foo: no such grammar"),
        ("grammar", 2, "--list prints the names"),
        ("grammar reber -n 0", 2, "-n"),
        ("grammar reber --depth 3", 2, "reber: no option depth"),
        ("grammar elman1993 --relative 2", 2, "relative: 2 is not a number from 0"),
        ("fetch foo", 2, "foo: no such corpus"),
    ],
)
def test_bad_input_is_told_in_a_line_and_leaves_nothing_behind(line, code, message, call, folder):
    (folder / "empty").mkdir()
    (folder / "empty.txt").touch()
    (folder / "taken.valid.txt").touch()
    (folder / "rubbish").write_bytes(bytes(range(256)))
    (folder / "rubbish.gz").write_bytes(b"\x1f\x8b\x08" + bytes(range(200)))
    before = sorted(path.name for path in folder.iterdir())
    found, out, err = call(line)
    assert (found, out) == (code, "")
    assert message in err
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == code  # wrong usage: a second line says where help is
    assert sorted(path.name for path in folder.iterdir()) == before


def test_force_replaces_a_file(call, folder):
    assert call("vocab train.txt -o test.txt --force")[0] == 0
    assert (folder / "test.txt").read_text().startswith("</s> 40\n")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read anything")
def test_an_unreadable_file(call, folder):
    (folder / "train.txt").chmod(0)
    code, _, err = call("stats train.txt")
    assert code == 1
    assert err.startswith("Error: train.txt: ")
    assert len(err.splitlines()) == 1


def test_binary_rubbish_is_text_with_a_warning(call, folder):
    (folder / "rubbish").write_bytes(bytes(range(256)) * 20)
    code, out, err = call("stats rubbish --json")
    assert code == 0
    assert json.loads(out)["bytes"] == 5120
    assert err == "Warning: rubbish: there are NUL bytes in words; is this text?\n"


@posix
@pytest.mark.parametrize(
    "line", ["vocab train.txt", "encode train.txt --save-vocab v", "grammar reber", "sample python-docs"]
)
def test_a_full_disk_is_one_line_and_the_old_file_stays(line, folder):
    # no file may grow beyond 50 bytes: the same path as a full disk, with the system's own error
    resource = pytest.importorskip("resource")
    (folder / "out").write_text("old")
    limit = 50
    done = process(
        f"{line} -o out --force",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
    )
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.decode().startswith("Error: out: cannot be written (")
    assert done.stderr.count(b"\n") == 1
    assert (folder / "out").read_text() == "old"
    assert not list(folder.glob("*.part-*"))
    assert not (folder / "v").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_device_as_output():
    assert process("vocab train.txt -o /dev/full").stderr.startswith(b"Error: /dev/full: cannot be written")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*PROCESS, "vocab", "train.txt"], stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: standard output: cannot be written")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("line", ["sample python-docs", "grammar adding -n 2000", "--help"])
def test_a_closed_pipe_is_silent(line):
    with subprocess.Popen(
        [*PROCESS, *line.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as running:
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(30) == 0


@posix
@pytest.mark.parametrize(("number", "code", "line"), [("SIGINT", 130, b"Interrupted.\n"), ("SIGTERM", 143, b"")])
def test_a_signal_leaves_no_partial_files(number, code, line, folder):
    before = sorted(path.name for path in folder.iterdir())
    with subprocess.Popen(
        [*PROCESS, "split", "-", "-o", "p"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        # a shell that started this in the background has set it to be ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        deadline = time.monotonic() + 30
        while len(list(folder.glob("p.*.part-*"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        running.send_signal(getattr(signal, number))
        assert running.wait(30) == code
        assert running.stderr.read() == line
    assert sorted(path.name for path in folder.iterdir()) == before


@posix
def test_ctrl_c_while_encoding_standard_input(folder):
    with subprocess.Popen(
        [*PROCESS, "encode", "-", "--save-vocab", "v", "-o", "x.npy"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        # more than a pipe holds: when it is written, the command reads
        running.stdin.write(b"some words to read\n" * 100_000)
        running.stdin.flush()
        # a signal between two reads is seen only after the second one, which waits: so a user tries again
        for _ in range(5):
            running.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                assert running.wait(3) == 130
                break
        assert running.stderr.read() == b"Interrupted.\n"
    assert not (folder / "x.npy").exists()
    assert not (folder / "v").exists()


def test_closed_standard_streams_are_no_crash():
    script = f"exec '{sys.executable}' -m corpora stats - <&- 2>&1"
    if os.name != "posix":
        pytest.skip("a POSIX shell")
    done = subprocess.run(["sh", "-c", script], capture_output=True, env=ENVIRONMENT)
    assert (done.returncode, done.stdout) == (1, b"Error: -: no words\n")


def test_progress_is_shown_on_a_terminal_only(monkeypatch):
    from corpora.jobs.progress import Silent, bar

    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert isinstance(bar(10, "reading"), Silent)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    with bar(10, "reading") as progress:
        progress.update(10)
    assert "reading" in terminal.getvalue()
