"""Files of questions and of pairs: what they hold, and which line is wrong."""

import numpy as np
import pytest

from corpora.errors import CorpusError, FormatError
from w2v.pairs import read_pairs
from w2v.questions import read_questions


@pytest.fixture
def write(tmp_path):
    def write(content, name="file.txt"):
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return write


# ---- questions


def test_sections_and_questions(write):
    text = b"\xef\xbb\xbfa b c d\r\n\n: capitals  of the world \nParis France\tRome Italy\n"
    text += b":gram1-adverb\n: empty\n:) a :( b\n"
    sections = read_questions(write(text))
    assert [(section.name, section.questions) for section in sections] == [
        (b"", [(b"a", b"b", b"c", b"d")]),
        (b"capitals of the world", [(b"Paris", b"France", b"Rome", b"Italy")]),
        (b"gram1-adverb", []),
        (b"empty", [(b":)", b"a", b":(", b"b")]),
    ]
    assert [section.is_syntactic for section in sections] == [False, False, True, False]


def test_the_file_of_word2vec(shared_data):
    sections = read_questions(str(shared_data / "wordsim" / "questions-words.txt"))
    assert sum(len(section.questions) for section in sections) == 19544
    # compute-accuracy takes the first five sections for semantic
    assert [section.is_syntactic for section in sections] == [False] * 5 + [True] * 9


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (b": x\na b c d\na b c\n", 3, 'expected four words or a heading ": name", found 3 words: "a b c"'),
        (b"word\n", 1, 'found 1 word: "word"'),
        (b": x\n\na b c d e\n", 3, 'found 5 words: "a b c d e"'),
        (b"", None, "no questions"),
        (b": x\n: y\n", None, "no questions"),
    ],
)
def test_other_lines_are_errors_with_their_number(write, text, line, reason):
    with pytest.raises(FormatError) as error:
        read_questions(write(text))
    assert error.value.line == line
    assert reason in error.value.reason


# ---- pairs


def words_and_scores(pairs):
    return [(*words, score) for words, score in zip(pairs.words, pairs.scores.tolist(), strict=True)]


@pytest.mark.parametrize(
    "text",
    [
        b"a\tb\t1.5\nc\td\t2\n",
        b"a b 1.5\nc   d 2\n",
        b"a,b,1.5\nc, d ,2",
        b'"a","b","1.5"\r\n"c","d","2"\r\n',
        b"# a comment, with commas\n\nword 1\tword 2\tscore\na\tb\t1.5\n# x\nc\td\t2\n",
        b"\xef\xbb\xbfword1,word2,mean\na,b,1.5,7,8\nc,d,2,7,8\n",
        b"a b 1.5 7\nc d 2 7\n",
    ],
)
def test_separators_headers_and_comments(write, text):
    assert words_and_scores(read_pairs(write(text))) == [(b"a", b"b", 1.5), (b"c", b"d", 2.0)]


def test_words_may_contain_what_does_not_separate(write):
    assert words_and_scores(read_pairs(write(b"new york\ta,b\t1\n"))) == [(b"new york", b"a,b", 1.0)]
    assert words_and_scores(read_pairs(write(b'"a, ""b""",\xff,1\n'))) == [(b'a, "b"', b"\xff", 1.0)]


def test_the_score_may_be_in_another_column(write):
    path = write(b"w1\tw2\tPOS\tscore\tn\nold\tnew\tA\t1.5\t9\n")  # as SimLex-999
    for column in ("4", 4, "score"):
        assert words_and_scores(read_pairs(path, column=column)) == [(b"old", b"new", 1.5)]
    with pytest.raises(FormatError, match=r':2: expected a score in column 3, found "A"; `column` says where it is'):
        read_pairs(path)
    for column in ("2", "0", "-1", "nothing"):
        with pytest.raises(CorpusError, match=rf'`column` {column}: .* or one of "POS, score'):
            read_pairs(path, column=column)


def test_words_are_turned_to_lower_case_in_any_script(write):
    assert read_pairs(write("Größe ÉTÉ 1\n".encode()), lower=True).words == [("größe".encode(), "été".encode())]
    assert read_pairs(write(b"A\xff B 1\n"), lower=True).words == [(b"a\xff", b"b")]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (b"a b 1\na b\n", 2, 'expected two words and a score, found "a b"'),
        (b"a b 1\na b x\n", 2, 'expected a score in column 3, found "x"'),
        (b"a b 1\na b nan\n", 2, 'found "nan"'),
        (b"a b inf\n", 1, 'found "inf"'),
        (b"a,b,1\n,b,1\n", 2, "expected two words and a score"),
        (b"a b 1_0\n", 1, 'found "1_0"'),
        (b"one two\n", 1, "expected two words and a score"),
        (b"w1 w2 score\n", None, "no pairs"),
        (b"# nothing\n", None, "no pairs"),
    ],
)
def test_other_lines_of_pairs_are_errors_with_their_number(write, text, line, reason):
    with pytest.raises(FormatError) as error:
        read_pairs(write(text))
    assert error.value.line == line
    assert reason in error.value.reason


@pytest.mark.parametrize(
    ("name", "n", "first"),
    [
        ("EN-WS-353-ALL.txt", 353, (b"love", b"sex", 6.77)),
        ("EN-MEN-TR-3k.txt", 3000, (b"sun", b"sunlight", 50.0)),
        ("EN-RG-65.txt", 65, (b"gem", b"jewel", 3.94)),
        ("EN-MTurk-771.txt", 771, (b"access", b"gateway", 3.791666667)),
        # ten judges, and the mean without the extreme ones before them: what its authors evaluate with
        ("ja-score_noun.csv", 1103, ("文献".encode(), "書籍ソース".encode(), 6.0)),
    ],
)
def test_published_files(shared_data, name, n, first):
    pairs = read_pairs(str(shared_data / "wordsim" / name))
    assert len(pairs) == n
    assert words_and_scores(pairs)[0] == first


def test_columns_by_name_of_the_japanese_file(shared_data):
    path = str(shared_data / "wordsim" / "ja-score_noun.csv")
    assert read_pairs(path, column="mean").scores[0] == 5.8
    np.testing.assert_array_equal(
        read_pairs(path).scores, read_pairs(path, column="mean(remove_extreme_annotator)").scores
    )
