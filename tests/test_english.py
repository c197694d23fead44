"""The check of English that ``make lint`` runs: it finds slips, and lets sentences pass that only look like them."""

import pytest

from tests.english import lines_of_page, lines_of_source, slips


@pytest.mark.parametrize(
    "line",
    [
        "A summary, a line a sentence, or a line a word.",
        "a JSON object a line:",
        "The vectors of words, one a line.",
        "0.001 bits a word more than needed",
        "a number, be it infinite or NaN",
        "the tasks, of which so many are begun",
        "FormatError where it is none of them.",
        "a line that is none",
        "its key in the place of its value",
        "The first so many words only.",
        "for whoever wants to train",
        "Of a word that is there twice the first vector counts.",
        "It is read.  Of two the first counts.",
        "a run may go on on another machine",
        "The vectors are normalized.",
    ],
)
def test_slips_are_found(line):
    assert list(slips(line))


@pytest.mark.parametrize(
    "line",
    [
        "One line per sentence, 100,000 words a second.",
        "read in so many pieces that memory is bounded",
        "Of these, the first counts.",
        "the log of the sum of words",
        "a line, a word and a token",
        "w2v vectors vectors.w2v",
        "``normalize`` and `--center` are names",
        "Bouma, G. (2009). Normalized (pointwise) mutual information in collocation extraction.",
        'it prints "that is none"',
    ],
)
def test_what_is_right_passes(line):
    assert not list(slips(line))


def test_code_of_a_page_is_not_read():
    page = "one\n```sh\ntwo\n```\n    three\nfour"
    assert list(lines_of_page(page)) == [(1, "one"), (6, "four")]


def test_of_a_module_comments_docstrings_and_help_are_read():
    module = '"""First.\n\n    Third.\n"""\nx = "no"  # five\n@option("--n", help="Six.")\ndef f():\n    """Eight."""\n'
    read = [(number, line) for number, line in lines_of_source(module) if line]
    assert sorted(read) == [(1, "First."), (3, "Third."), (5, "five"), (6, "Six."), (8, "Eight.")]
