"""w2v nearest and w2v analogy, run as a user runs them: arguments, pipes and a terminal."""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from w2v import io
from w2v.model import WordVectors

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
# directions in the plane, in degrees: cosines are known by hand
DEGREES = {"</s>": 300, "the": 240, "man": 0, "woman": 30, "king": 60, "queen": 75, "new": 20, "york": 40, "猫": 8}


@pytest.fixture
def vectors(tmp_path, monkeypatch):
    """vectors.bin and vectors.w2v in the current directory; "zero" has no direction."""
    radians = np.radians(list(DEGREES.values()))
    rows = np.array([np.cos(radians), np.sin(radians)]).T * np.linspace(1, 4, len(DEGREES))[:, None]
    words = [word.encode() for word in DEGREES]
    made = WordVectors([*words, b"zero"], np.vstack([rows, [[0, 0]]]).astype(np.float32))
    monkeypatch.chdir(tmp_path)
    io.save(made, "vectors.bin", "binary")
    io.save(made, "vectors.w2v", "native")
    return tmp_path


def cosine(degrees):
    return f"{np.cos(np.radians(degrees)) + 0.0:.6f}"


def tsv(query, *answers):
    rows = (f"{query}\t{rank}\t{word}\t{score}\n" for rank, (word, score) in enumerate(answers, 1))
    return "".join(rows)


HEADER = "query\trank\tword\tcosine\n"


# ---- nearest


def test_neighbours_go_into_a_pipe_as_one_table(vectors, w2v_done):
    assert w2v_done("nearest vectors.bin man king -n 2") == (
        HEADER
        + tsv("man", ("猫", cosine(8)), ("new", cosine(20)))
        + tsv("king", ("queen", cosine(15)), ("york", cosine(20)))
    )


def test_a_phrase_is_one_query_and_none_of_its_words_an_answer(vectors, w2v_done):
    # halfway between 20 and 40 degrees, whatever the lengths
    expected = HEADER + tsv("new york", ("woman", "1.000000"), ("猫", cosine(22)))
    assert w2v_done('nearest vectors.w2v "new york" -n 2') == expected
    assert w2v_done("nearest vectors.w2v -n 2", b"\xef\xbb\xbf  new \t york\r\n\n") == expected


def test_restrict_takes_the_first_words(vectors, w2v_done):
    assert w2v_done("nearest vectors.bin york -n 9 --restrict 4") == HEADER + tsv(
        "york", ("woman", cosine(10)), ("man", cosine(40)), ("</s>", cosine(100)), ("the", cosine(160))
    )


def test_json_has_an_object_for_every_query_in_their_order(vectors, w2v):
    code, out, err = w2v("nearest vectors.bin -n 1 --json", "猫\nQueen dog man\n".encode() + b"\xff\nqueen\n")
    assert code == 0
    found = list(map(json.loads, out.splitlines()))
    assert [one["query"] for one in found] == ["猫", "Queen dog man", "\\xff", "queen"]
    assert [one.get("missing") for one in found] == [None, ["Queen", "dog"], ["\\xff"], None]
    assert found[0]["answers"] == [{"word": "man", "cosine": pytest.approx(np.cos(np.radians(8)))}]
    assert found[1]["answers"] == []
    # what is not there is told once, and what might have been meant
    assert err.splitlines()[0] == "Warning: Queen, dog: not in the vocabulary of vectors.bin; queen is"
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "stdin", "message"),
    [
        ("nearest vectors.bin dog", b"", "dog: not in the vocabulary of vectors.bin"),
        ("nearest vectors.bin MAN", b"", "MAN: not in the vocabulary of vectors.bin; man is"),
        ("nearest vectors.bin zero", b"", "zero: its vector is all zeros, which is no direction"),
        ("nearest vectors.bin", b"dog\ncat\n", "none of the queries could be answered"),
        ("nearest vectors.bin --vector", b"1 2 3 4\n", "-:1: expected 2 numbers, perhaps with a word before them"),
        ("nearest vectors.bin --vector", b"1 2\n\none two\n", '-:3: expected a number, found "one"'),
        ("nearest vectors.bin --vector", b"w 1 inf\n", '-:1: expected a number, found "inf"'),
        ("nearest nothing.bin man", b"", "nothing.bin: "),
        ("analogy vectors.bin man king dog", b"", "dog: not in the vocabulary of vectors.bin"),
        ("analogy vectors.bin", b"man king\n", "none of the queries could be answered"),
    ],
)
def test_what_cannot_be_answered_is_one_line(vectors, w2v, line, stdin, message):
    code, _, err = w2v(line, stdin)
    assert code == 1
    assert err.splitlines()[-1].startswith(f"Error: {message}")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nearest vectors.bin man --vector", "--vector reads standard input"),
        ("nearest vectors.bin man -n 0", "0 is not in the range"),
        ("nearest vectors.bin man --restrict 0", "0 is not in the range"),
        ("analogy vectors.bin man king", "2 words where three are needed: A B C"),
        ("analogy vectors.bin a b c --method cosine", "'cosine' is not one of"),
    ],
)
def test_wrong_calls(vectors, w2v, line, message):
    code, out, err = w2v(line)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[0]


def test_no_queries_have_no_answers(vectors, w2v):
    assert w2v("nearest vectors.bin", b"\n \n") == (0, "", "")


def test_vectors_from_standard_input(vectors, w2v_done):
    # 90 and 180 degrees; queen is an answer to her own name, and a line without one goes by its number
    stdin = b"queen 0 1\n-3 0\n"
    expected = tsv("queen", ("queen", cosine(15)), ("king", cosine(30))) + tsv(
        "2", ("the", cosine(60)), ("queen", cosine(105))
    )
    assert w2v_done("nearest vectors.w2v --vector -n 2", stdin) == HEADER + expected


def test_a_vector_of_zeros_is_left_out(vectors, w2v):
    code, out, err = w2v("nearest vectors.w2v --vector -n 1", b"0 0\n1 0\n")
    assert (code, err) == (0, "Warning: -:1: a vector of zeros, which is no direction\n")
    assert out == HEADER + tsv("2", ("man", "1.000000"))


def test_distance_prints_the_same(golden, w2v_done):
    # the lines that distance printed for "cat", below its heading
    printed = (golden / "word2vec" / "distance.cat.txt").read_text().splitlines()
    expected = [line.split() for line in printed if "\t\t" in line]
    found = w2v_done(f"nearest {golden}/word2vec/cbow-hs.bin cat")
    assert [line.split("\t")[2:] for line in found.splitlines()[1:]] == expected


# ---- analogy


def test_man_is_to_king_as_woman_is_to_queen(vectors, w2v_done):
    # king - man + woman: (1/2 - 1 + sqrt(3)/2, sqrt(3)/2 + 1/2), which is 75 degrees
    query = "man king woman"
    expected = HEADER + tsv(query, ("queen", "1.000000"), ("york", cosine(35)))
    assert w2v_done(f"analogy vectors.bin {query} -n 2") == expected
    assert w2v_done("analogy vectors.w2v -n 2", f"{query}\n".encode()) == expected


def test_3cosmul_by_hand(vectors, w2v_done):
    shifted = {degrees: (np.cos(np.radians(degrees)) + 1) / 2 for degrees in (15, 45, 75)}
    score = shifted[15] * shifted[45] / (shifted[75] + 0.001)  # queen to king, to woman, to man
    out = w2v_done("analogy vectors.bin man king woman --method 3cosmul -n 1")
    assert out == f"query\trank\tword\tscore\nman king woman\t1\tqueen\t{score:.6f}\n"
    (answer,) = json.loads(w2v_done("analogy vectors.bin man king woman --method 3cosmul -n 1 --json"))["answers"]
    assert answer == {"word": "queen", "score": pytest.approx(score, abs=1e-6)}


def test_lines_of_another_number_of_words_are_told_and_left_out(vectors, w2v):
    code, out, err = w2v("analogy vectors.bin -n 1", b"man king\n\nman king woman\nman king woman queen\n")
    assert code == 0
    assert out == HEADER + tsv("man king woman", ("queen", "1.000000"))
    assert err.splitlines() == [
        "Warning: query 1: three words are needed, A B C, found 2: man king",
        "Warning: query 4: three words are needed, A B C, found 4: man king woman queen",
    ]


# ---- a program, and a person


def start(line, **options):
    return subprocess.Popen([sys.executable, "-m", "w2v", *line.split()], env=ENVIRONMENT, **options)


def test_a_program_can_wait_for_each_answer(vectors):
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with start("nearest vectors.w2v -n 1 --json", **pipes) as process:
        for query, answer in (("a", []), ("man", ["猫"]), ("queen", ["king"])):
            process.stdin.write(f"{query}\n".encode())
            process.stdin.flush()
            found = json.loads(process.stdout.readline())
            assert (found["query"], [one["word"] for one in found["answers"]]) == (query, answer)
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="a terminal of POSIX")
@pytest.mark.parametrize("end", [b"EXIT\n", b"\x04"])
def test_a_person_is_asked_until_exit_or_control_d(vectors, end):
    terminal, side = os.openpty()
    process = start("nearest vectors.w2v -n 2", stdin=side, stdout=side, stderr=side)
    os.close(side)
    seen = b""

    def wait_for(text):
        nonlocal seen
        until = time.monotonic() + 30
        while text not in seen and time.monotonic() < until:
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096)
        assert text in seen
        found, seen = seen.decode(), b""
        return found

    wait_for(b"Word or phrase (EXIT ends): ")
    os.write(terminal, "猫\n".encode())
    table = wait_for(b"(EXIT ends): ").splitlines()
    first = table.index(next(line for line in table if "position 8 of 10" in line))
    assert table[first + 2 : first + 5] == [
        "rank  word    cosine",
        f"   1  man   {cosine(8)}",
        f"   2  new   {cosine(12)}",
    ]
    os.write(terminal, b"dog\n")
    assert "Warning: dog: not in the vocabulary of vectors.w2v" in wait_for(b"(EXIT ends): ")
    os.write(terminal, end)
    assert process.wait(30) == 0
    os.close(terminal)


def test_a_query_needs_no_compiler(vectors):
    code = (
        "import sys; from w2v.cli import run; code = run(['nearest', 'vectors.w2v', 'man', '-n', '1']); "
        "print(code, sorted({'numba', 'scipy', 'llvmlite'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    ).stdout
    assert out.splitlines()[-1] == "0 []"
