"""Models compared: paired differences, bootstrap intervals, and where the gain is."""

import io
import json
import math

import numpy as np
import pytest

from corpora.errors import CorpusError
from corpora.evaluation.perplexity import evaluate
from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from rnnlm.mixtures.compare import MOST_UNITS, compare, resample
from rnnlm.mixtures.compare_report import COLUMNS, WordDifferences, write_comparison, write_sentences
from tests.small_bigrams import Bigrams

WORDS = [b"<unk>", b"a", b"b", b"c"]
COUNTS = [40, 0, 1, 12, 2000]  # </s>, <unk>, a, b, c
LINES = ["a b c", "c c", "", "b a a a", "c", "b zebra b"]


def stream_of(tmp_path, lines):
    path = tmp_path / "text.txt"
    path.write_text("".join(line + "\n" for line in lines))
    return encode([str(path)], get_tokenizer())


@pytest.fixture
def stream(tmp_path):
    with stream_of(tmp_path, LINES) as found:
        yield found


@pytest.fixture
def models():
    return {"first": Bigrams(WORDS, 1, counts=COUNTS), "second": Bigrams(WORDS, 2), "same": Bigrams(WORDS, 1)}


def bits(lm, lines):
    """-log2 P of every word of the lines, by sentence; None for an OOV."""
    scored, _ = lm.score([word.encode() for line in lines for word in [*line.split(), "</s>"]], lm.start())
    values = iter(zip((-scored.log10_prob * math.log2(10)).tolist(), scored.oov, strict=True))
    return [[None if oov else value for value, oov in (next(values) for _ in [*line.split(), ""])] for line in lines]


def test_the_totals_are_the_evaluators(stream, models):
    found = compare(models, stream, samples=10)
    for name, perplexity in zip(found.models, found.perplexities, strict=True):
        assert perplexity == pytest.approx(evaluate(models[name], stream).perplexity)
    assert (found.sentences, found.words, found.left_out) == (6, 18, 1)
    total = found.pairs[0].total
    assert (total.perplexity_against, total.perplexity) == (found.perplexities[0], found.perplexities[1])
    assert total.ratio == pytest.approx(found.perplexities[1] / found.perplexities[0])
    assert total.difference == pytest.approx(found.perplexities[1] - found.perplexities[0])
    assert total.gain_bits == pytest.approx(-math.log2(total.ratio))


def test_wins_and_losses_by_word_and_by_sentence(stream, models):
    first, second = bits(models["first"], LINES), bits(models["second"], LINES)
    pair, same = compare(models, stream, samples=10).pairs
    gains = [a - b for s, t in zip(first, second, strict=True) for a, b in zip(s, t, strict=True) if a is not None]
    sentences = [
        sum(a - b for a, b in zip(s, t, strict=True) if a is not None) for s, t in zip(first, second, strict=True)
    ]
    assert (pair.total.won, pair.total.lost, pair.total.tied) == (
        sum(x > 0 for x in gains),
        sum(x < 0 for x in gains),
        0,
    )
    assert (pair.sentences_won, pair.sentences_lost) == (sum(x > 0 for x in sentences), sum(x < 0 for x in sentences))
    assert (same.total.tied, same.sentences_tied) == (18, 6)
    assert same.total.gain_interval == (0, 0)
    assert (pair.against, pair.model, same.model) == ("first", "second", "same")


def test_the_gain_is_shared_out_by_the_words_training_counts(stream, models):
    pair = compare(models, stream, samples=10).pairs[0]
    # zebra is an OOV; a is trained on once, b 12 times, c 2000 times
    assert [(part.label, part.words) for part in pair.bands] == [("1", 4), ("10-99", 4), ("1000-9999", 4), ("</s>", 6)]
    assert sum(part.share for part in pair.bands) == pytest.approx(1)
    assert sum(part.gain_bits * part.words for part in pair.bands) == pytest.approx(pair.total.gain_bits * 18)
    first, second = (bits(models[name], LINES) for name in ("first", "second"))
    ends = np.mean([s[-1] - t[-1] for s, t in zip(first, second, strict=True)])
    assert pair.bands[-1].gain_bits == pytest.approx(ends)


def test_without_training_counts_there_is_one_band(stream):
    found = compare({"a": Bigrams(WORDS, 1), "b": Bigrams(WORDS, 2)}, stream, samples=10)
    assert [part.label for part in found.pairs[0].bands] == ["words", "</s>"]


def test_blocks_do_not_change_anything(stream, models):
    whole, pieces = compare(models, stream, samples=50), compare(models, stream, samples=50, block_size=2)
    for one, other in zip(whole.pairs[0].bands, pieces.pairs[0].bands, strict=True):
        assert (other.label, other.words, other.won) == (one.label, one.words, one.won)
        assert other.gain_interval == pytest.approx(one.gain_interval)
    np.testing.assert_allclose(pieces.sentence_log10_prob, whole.sentence_log10_prob)
    assert pieces.sentence_words.tolist() == whole.sentence_words.tolist() == [4, 3, 1, 5, 2, 3]


def test_an_oov_of_one_model_is_left_out_for_all_unless_the_policy_counts_it(stream):
    models = {"a": Bigrams(WORDS, 1), "b": Bigrams([*WORDS, b"zebra"], 2)}
    assert (compare(models, stream, samples=5).words, compare(models, stream, samples=5).left_out) == (18, 1)
    assert compare(models, stream, samples=5, oov="unk").words == 19


# ---- the bootstrap


def test_resampling_draws_as_many_units_as_there_are():
    units = np.ones((50, 2))
    units[:, 1] = np.arange(50)
    sums = resample(units, 2000, np.random.default_rng(1))
    assert (sums[:, 0] == 50).all()
    # the mean of 50 draws: variance n s^2, s^2 of 0..49
    assert sums[:, 1].mean() == pytest.approx(50 * 24.5, rel=0.02)
    assert sums[:, 1].std() == pytest.approx(math.sqrt(50) * units[:, 1].std(), rel=0.05)


def test_the_interval_covers_the_truth_as_often_as_it_says(tmp_path):
    # texts from the first model: the expected gain of the second one over it is the same for all of them
    first, second = Bigrams([b"a", b"b"], 1), Bigrams([b"a", b"b"], 5)
    rng, gains, intervals = np.random.default_rng(3), [], []
    for _ in range(60):
        lines = []
        for _ in range(60):
            word, line = 0, []
            while (word := int(rng.choice(3, p=first.table[word]))) and len(line) < 20:
                line.append(first.vocab.words[word].decode())
            lines.append(" ".join(line))
        with stream_of(tmp_path, lines) as text:
            total = compare({"1": first, "2": second}, text, samples=200, confidence=0.8).pairs[0].total
        gains.append(total.gain_bits)
        intervals.append(total.gain_interval)
    truth = float(np.mean(gains))
    covered = np.mean([low <= truth <= high for low, high in intervals])
    assert 0.65 < covered < 0.92  # 0.8, with 60 texts: two standard deviations and the bootstrap's own bias


def test_seeds_give_the_same_intervals_again(stream, models):
    one, two, other = (compare(models, stream, samples=100, seed=seed).pairs[0].total for seed in (1, 1, 2))
    assert one.gain_interval == two.gain_interval
    assert one.gain_interval != other.gain_interval
    low, high = one.gain_interval
    assert low < one.gain_bits < high
    assert 0 <= one.better <= 1


def test_one_sentence_has_no_interval(tmp_path, models):
    with stream_of(tmp_path, ["a b c"]) as text:
        total = compare(models, text).pairs[0].total
    assert math.isnan(total.gain_interval[0])
    assert math.isnan(total.better)


def test_long_texts_are_drawn_in_runs_of_sentences(tmp_path, models):
    with stream_of(tmp_path, ["a"] * (MOST_UNITS + 500)) as text:
        found = compare(models, text, samples=3)
    assert found.words == 2 * (MOST_UNITS + 500)
    assert sum(part.words for part in found.pairs[0].bands) == found.words


@pytest.mark.parametrize(
    ("change", "message"),
    [({"samples": 0}, "0 samples"), ({"confidence": 1.0}, "confidence 1"), ({"oov": "nothing"}, "`oov` nothing")],
)
def test_what_cannot_be_asked_is_refused(stream, models, change, message):
    with pytest.raises((CorpusError, ValueError), match=message):
        compare(models, stream, **change)


def test_one_model_or_no_common_word_is_refused(tmp_path, stream):
    with pytest.raises(CorpusError, match="two models"):
        compare({"a": Bigrams(WORDS)}, stream)
    impossible = Bigrams(WORDS)
    impossible.table[:] = 0
    with pytest.raises(CorpusError, match="nothing to compare"):
        compare({"a": Bigrams(WORDS), "b": impossible}, stream)


# ---- reports


def printed(write, *arguments) -> list[str]:
    sink = io.BytesIO()
    write(*arguments[:1], sink, *arguments[1:])
    return sink.getvalue().decode().splitlines()


def test_the_summary_as_text_tsv_and_json(stream, models):
    found = compare(models, stream, samples=20)
    text = "\n".join(printed(write_comparison, found, "text"))
    assert "6 sentences, 18 words and sentence ends, 1 left out" in text
    assert "second against first" in text
    header, *rows = printed(write_comparison, found, "tsv")
    assert tuple(header.split("\t")) == COLUMNS
    assert len(rows) == 2 * 5  # all and four bands, for two models
    row = dict(zip(COLUMNS, rows[0].split("\t"), strict=True))
    assert (row["against"], row["model"], row["part"], row["words"]) == ("first", "second", "all", "18")
    assert float(row["ratio"]) == pytest.approx(found.pairs[0].total.ratio)
    (line,) = printed(write_comparison, found, "json")
    content = json.loads(line)
    assert content["pairs"][0]["total"]["gain_bits"] == found.pairs[0].total.gain_bits
    assert content["pairs"][1]["bands"][0]["share"] is None  # of no gain at all
    with pytest.raises(ValueError, match="`format` xml"):
        write_comparison(found, io.BytesIO(), "xml")


def test_a_row_for_every_sentence(stream, models):
    found = compare(models, stream, samples=5)
    header, *rows = printed(write_sentences, found, "tsv")
    assert header.split("\t") == [
        "sentence", "words", "bits_first", "bits_second", "bits_same", "gain_second", "gain_same",
    ]  # fmt: skip
    expected = [sum(x for x in sentence if x is not None) for sentence in bits(models["second"], LINES)]
    for number, (row, value) in enumerate(zip(rows, expected, strict=True), 1):
        cells = row.split("\t")
        assert int(cells[0]) == number
        assert float(cells[3]) == pytest.approx(value, abs=1e-6)
        assert float(cells[5]) == pytest.approx(float(cells[2]) - float(cells[3]), abs=2e-6)


@pytest.mark.parametrize("form", ["tsv", "json"])
def test_a_row_for_every_word(stream, models, form):
    sink = io.BytesIO()
    differences = WordDifferences(sink, form, stream.vocab, list(models))
    compare(models, stream, samples=5, on_words=differences.write, block_size=3)
    differences.close()
    lines = sink.getvalue().decode().splitlines()
    if form == "json":
        rows = [json.loads(line) for line in lines]
    else:
        rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    assert len(rows) == 19
    assert [row["word"] for row in rows[-4:]] == ["b", "zebra", "b", "</s>"]
    assert rows[-3]["gain_second"] in ("", None)
    first, second = ([x for s in bits(models[name], LINES) for x in s] for name in ("first", "second"))
    for row, a, b in zip(rows, first, second, strict=True):
        if a is not None:
            assert float(row["gain_second"]) == pytest.approx(a - b, abs=1e-6)
