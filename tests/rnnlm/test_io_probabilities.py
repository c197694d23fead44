"""Files of per-word probabilities: what other programs print becomes a model of that one text."""

import gzip
import io
import math

import numpy as np
import pytest

from corpora.errors import CorpusError, FormatError
from corpora.evaluation.perplexity import evaluate
from corpora.evaluation.reports import make_report
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from rnnlm.io import load, peek, save, sniff
from rnnlm.mixtures.mixture import Mixture
from tests.small_bigrams import Bigrams

WORDS = [b"<unk>", b"a", b"b", b"caf\xe9", b"\xc3\xa9t\xc3\xa9"]
TEXT = b"a b caf\xe9\nb \xc3\xa9t\xc3\xa9 zebra a\n\n<unk> b\n"


def stream_of(tmp_path, text: bytes):
    path = tmp_path / "text.txt"
    path.write_bytes(text)
    return encode([str(path)], get_tokenizer())


@pytest.fixture
def stream(tmp_path):
    with stream_of(tmp_path, TEXT) as found:
        yield found


def written(tmp_path, content: bytes, name: str = "scores"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def report(lm, stream, form: str, oov: str) -> bytes:
    sink = io.BytesIO()
    out = make_report("word", form, sink, stream.vocab)
    out.finish(evaluate(lm, stream, oov=oov, on_block=out.block))
    return sink.getvalue()


# ---- our own reports


@pytest.mark.parametrize("form", ["tsv", "json", "srilm"])
@pytest.mark.parametrize("oov", ["skip", "unk"])
@pytest.mark.parametrize("order", [False, True])
def test_a_report_of_words_played_back_has_the_scores_it_was_made_from(tmp_path, stream, form, oov, order):
    lm = Bigrams(WORDS, order=order)
    path = written(tmp_path, report(lm, stream, form, oov))
    played = load(path)
    assert (sniff(path), peek(path)["probabilities"], len(played)) == ("probabilities", form, stream.n_tokens)
    played.check_text(stream)
    policy = oov if oov == "skip" or played.vocab.unk_id >= 0 else "skip"
    expected, found = evaluate(lm, stream, oov=policy), evaluate(played, stream, oov=policy)
    assert found.perplexity == pytest.approx(expected.perplexity, rel=1e-6)
    assert (found.oov, found.words, found.skipped) == (expected.oov, expected.words, expected.skipped)


def test_a_report_may_be_compressed_and_may_have_windows_line_ends(tmp_path, stream):
    text = report(Bigrams(WORDS), stream, "tsv", "unk")
    packed = written(tmp_path, gzip.compress(text), "packed")
    windows = written(tmp_path, text.replace(b"\n", b"\r\n"), "windows")
    assert load(packed).log10_prob.tolist() == load(windows).log10_prob.tolist()
    assert peek(packed)["compression"] == "gzip"


def test_zero_probabilities_stay_zero_and_are_no_oovs(tmp_path, stream):
    lm = Bigrams(WORDS)
    lm.table[:, 2] = 0
    for form in ("tsv", "json", "srilm"):
        played = load(written(tmp_path, report(lm, stream, form, "unk")))
        assert evaluate(played, stream, oov="skip").zeroprobs == 2  # twice the word a
        assert np.isneginf(played.log10_prob).sum() == 2


# ---- other programs


def test_srilms_output_gives_srilms_perplexities(golden):
    with encode([str(golden / "toy" / "test.txt")], get_tokenizer()) as stream:
        played = load(golden / "srilm" / "mkn4.ppl.debug2.gz")
        played.check_text(stream)
        tally = evaluate(played, stream, oov="unk")
    # its last line: 0 zeroprobs, logprob= -5371.315 ppl= 22.40037 ppl1= 31.71072
    assert (f"{tally.log10_prob:.7g}", f"{tally.perplexity:.7g}", f"{tally.ppl1:.7g}") == (
        "-5371.315", "22.40037", "31.71072",
    )  # fmt: skip
    assert tally.oov == 65


def test_kenlms_output_gives_kenlms_perplexities(golden):
    with encode([str(golden / "toy" / "test.txt")], get_tokenizer()) as stream:
        played = load(golden / "kenlm" / "mkn3.query.word.gz")
        played.check_text(stream)
        tally = evaluate(played, stream)
    summary = dict(line.split(":\t") for line in (golden / "kenlm" / "mkn3.query.summary").read_text().splitlines())
    assert tally.perplexity == pytest.approx(float(summary["Perplexity excluding OOVs"]), rel=1e-6)
    assert tally.perplexity_including_oov == pytest.approx(float(summary["Perplexity including OOVs"]), rel=1e-6)
    assert tally.oov == int(summary["OOVs"])


def test_what_04b_prints_of_each_word_gives_its_perplexity(golden):
    path = golden / "rnnlm" / "classes.test.debug2.gz"
    with encode([str(golden / "toy" / "test.txt")], get_tokenizer()) as stream:
        played = load(path)
        played.check_text(stream)
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        printed = next(line for line in lines if line.startswith("PPL net:"))
        assert evaluate(played, stream).perplexity == pytest.approx(float(printed.split()[2]), abs=1e-5)


def test_a_list_of_probabilities_is_what_lm_prob_of_04b_takes(tmp_path, stream):
    values = [0.5, 0.25, 1, 1e-3, 5e-05, 0.1, 0, 0.2, 0.3, 0.4, 0.5, 0.9, 0.125]
    played = load(written(tmp_path, "".join(f"{value}\n" for value in values).encode()))
    assert peek(tmp_path / "scores")["probabilities"] == "plain"
    played.check_text(stream)
    tally = evaluate(played, stream)
    assert (tally.oov, tally.words) == (1, 9)  # 0: the other model does not know the word
    assert tally.perplexity == pytest.approx(math.prod(value or 1 for value in values) ** (-1 / 12))


# ---- another text


def test_another_text_is_found_out_with_the_line(tmp_path, stream):
    path = written(tmp_path, report(Bigrams(WORDS), stream, "tsv", "unk"))
    other = tmp_path / "other"
    other.mkdir()
    with stream_of(other, TEXT.replace(b"zebra", b"gnu")) as text, pytest.raises(FormatError) as error:
        load(path).check_text(text)
    assert str(error.value) == f'{path}:8: the probability of "zebra", where word 7 of the text is "gnu"'
    with stream_of(other, TEXT.replace(b" zebra", b"")) as text, pytest.raises(FormatError, match='is "a"'):
        evaluate(load(path), text)
    with stream_of(other, TEXT + b"a\n") as text:
        with pytest.raises(FormatError, match="13 probabilities for a text of 15 words and sentence ends"):
            load(path).check_text(text)
        with pytest.raises(FormatError, match=r"scores:14: the last of 13 probabilities; the text has more words"):
            evaluate(load(path), text)


def test_unk_in_srilms_output_stands_for_any_word_but_a_sentence_end(tmp_path, stream):
    path = written(tmp_path, report(Bigrams(WORDS), stream, "srilm", "unk"))
    other = tmp_path / "other"
    other.mkdir()
    with stream_of(other, TEXT.replace(b"zebra", b"gnu")) as text:
        load(path).check_text(text)
    with stream_of(other, TEXT.replace(b"zebra", b"</s>")) as text, pytest.raises(FormatError, match='is "</s>"'):
        load(path).check_text(text)


def test_a_played_back_model_is_none_for_other_words(tmp_path, stream):
    played = load(written(tmp_path, report(Bigrams(WORDS), stream, "tsv", "unk")))
    with pytest.raises(CorpusError, match="probabilities of one text"):
        played.distribution(played.start())
    with pytest.raises(FormatError, match='word 1 of the text is "b"'):
        played.score([b"b"], played.start())
    scored, state = played.score([b"a", b"b"], played.start())
    assert (state, scored.entropy_bits) == (2, None)
    assert played.score([b"caf\xe9"], state)[1] == 3
    with pytest.raises(CorpusError, match="--report word"):
        save(played, tmp_path / "out", "probabilities")


def test_an_outside_model_is_mixed_by_its_numbers(tmp_path, stream):
    lm, outside = Bigrams(WORDS, 1), Bigrams([*WORDS, b"zebra"], 2)
    played = load(written(tmp_path, report(outside, stream, "tsv", "unk")))
    whole = evaluate(Mixture([lm, outside], [0.3, 0.7]), stream)
    assert evaluate(Mixture([lm, played], [0.3, 0.7]), stream).perplexity == pytest.approx(whole.perplexity, rel=1e-7)
    assert whole.oov == 0  # zebra is a word of the outside model
    mixture = Mixture([lm, played])
    scored, _ = mixture.score_ids(np.array([2], np.int32), mixture.start(), entropy=True)
    assert scored.entropy_bits is None


# ---- bad files


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"0.5\n0.25\nx\n", 3, 'expected a probability, found "x"'),
        (b"0.5\n1.25\n", 2, "probability 1.25; it must be from 0 to 1"),
        (b"0.5\n\n0.5\n", 2, 'found ""'),
        (b"0.5\n-0.5\n", 2, "probability -0.5"),
        (b"0.5\nnan\n", 2, 'found "nan"'),
        (b"sentence\tposition\tword\toov\tlog10_prob\n1\t1\ta\t0\n", 2, "expected 5 columns, found 4"),
        (b"sentence\tposition\tword\toov\tlog10_prob\n1\t1\ta\t0\t0.5\n", 2, "it cannot be above 0"),
        (b"sentence\tposition\tword\toov\tlog10_prob\n1\t1\ta\tno\t-0.5\n", 2, 'expected 0 or 1 for "oov"'),
        (b"sentence\tposition\tword\toov\tlog10_prob\n1\t1\ta\t0\t-x\n", 2, 'found "-x"'),
        (b"sentence\tposition\tword\toov\tlog10_prob\n", None, "no probabilities"),
        (
            b'{"sentence": 1, "position": 1, "word": "a", "oov": 0, "log10_prob": -1}\n{"word":\n',
            2,
            "expected an object",
        ),
        (b'{"sentence": 1, "position": 1, "word": 3, "oov": 0, "log10_prob": -1}\n', 1, "expected a string"),
        (b"\tp( a | <s> ) \t= [1gram] 0.1 [ -1 ]\n\tp( b | a ...) \t= 0.1\n", 2, 'expected "p( word'),
        (b"the=7 2 -0.15\tb=1\n", 1, 'expected "word=id length log10", found "b=1"'),
        (b"Index   P(NET)          Word\n-----\n1\t0.5\n", 3, "expected index, probability and word"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_the_line(tmp_path, content, line, message):
    with pytest.raises(FormatError) as error:
        load(written(tmp_path, content))
    assert message in str(error.value)
    assert error.value.line == line


@pytest.mark.parametrize("content", [b"", b"10000 100\n", b"a b\n", b"5\n", b'{"word": 1}\n', b"\xff\xfe\n"])
def test_other_files_are_no_probabilities(tmp_path, content):
    with pytest.raises(FormatError):
        sniff(written(tmp_path, content))
