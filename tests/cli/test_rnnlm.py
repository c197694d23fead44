"""The rnnlm command, run as a user runs it: what it prints and writes."""

import gzip
import json
import math
import os
import re
from collections import Counter

import numpy as np
import pytest

import rnnlm as library
from tests.tables import objects, rows_of

JSON_KEYS = {
    "sentences", "words", "oov", "log10_prob", "perplexity", "ppl1", "perplexity_including_oov", "bits_per_word",
    "words_per_second",
}  # fmt: skip


# ---- train


def test_training_says_what_it_does_and_keeps_the_best_epoch(folder, rnnlm):
    line = "train train.txt --valid valid.txt -o m --hidden 6 --class 4 --max-iter 3 --seed 2 --log log"
    code, out, err = rnnlm(line)
    assert code == 0
    epochs = out.splitlines()
    assert [epoch.split()[:2] for epoch in epochs] == [["epoch", "0"], ["epoch", "1"], ["epoch", "2"]]
    n_train, n_valid = (
        len((folder / f).read_bytes().replace(b"\n", b" . ").split()) for f in ("train.txt", "valid.txt")
    )
    assert "vocabulary: 30 words\n" in err
    assert f"training: {n_train} words and sentence ends, 0.00% unknown\n" in err
    assert f"validation: {n_valid} words and sentence ends, 0.00% unknown\n" in err
    assert re.search(r"^memory: about \d+ MB \(", err, re.M)
    log = objects((folder / "log").read_text())
    assert [entry["epoch"] for entry in log] == [0, 1, 2]
    assert f"{log[2]['valid_perplexity']:.2f}" == epochs[2].split()[epochs[2].split().index("perplexity") + 1]
    times = {"seconds", "words_per_second"}
    assert all(times < entry.keys() for entry in log)
    assert library.load("m").history == [
        {key: value for key, value in entry.items() if key not in times} for entry in log
    ]
    assert not (folder / "m.checkpoint").exists()


def test_a_model_worse_than_the_frequencies_of_words_says_so(folder, rnnlm):
    # a rate at which it cannot learn, but for its last epoch's numbers
    line = "train train.txt --valid valid.txt -o m --hidden 30 --class 1 --activation tanh --max-iter 1 --alpha "
    code, out, err = rnnlm(line + "0.5")
    assert code == 0
    counts = Counter((folder / "train.txt").read_bytes().replace(b"\n", b" </s> ").split())
    words = (folder / "valid.txt").read_bytes().replace(b"\n", b" </s> ").split()
    total = sum(counts.values()) + len(counts)
    unigram = math.exp(-sum(math.log((counts[word] + 1) / total) for word in words) / len(words))
    perplexity = float(out.split()[out.split().index("perplexity") + 1])
    assert perplexity > unigram
    warning = f"is worse than that of the words' frequencies alone, {unigram:.2f}: lower --alpha (0.5)"
    warning += ", or train for more epochs (--max-iter 1)"
    assert err.splitlines()[-1].endswith(warning)
    assert "worse" not in rnnlm(line + "0.01 --force")[2]


def test_a_model_of_the_command_scores_as_well_as_the_training_said(folder, done):
    found = json.loads(done("ppl -m small.rnnlm valid.txt --format json"))
    assert found["perplexity"] == pytest.approx(
        json.loads(done("info small.rnnlm --json"))["best_valid_perplexity"], rel=1e-6
    )


def test_a_trained_model_knows_its_grammar(folder, done):
    # the floor of the grammar is what no model can go below: corpora.data.grammars computes it
    from corpora.data.grammars import GRAMMARS

    floor = 2 ** GRAMMARS["elman1990"].entropy().bits_per_symbol
    done("train train.txt --valid valid.txt -o m --hidden 15 --class 1")
    perplexity = json.loads(done("ppl -m m test.txt --format json"))["perplexity"]
    assert 0.97 * floor < perplexity < 1.12 * floor


def test_training_and_scoring_read_standard_input(folder, rnnlm, done):
    text = (folder / "train.txt").read_bytes()
    code, _, err = rnnlm("train - --valid valid.txt -o m --hidden 6 --class 4 --max-iter 3 --seed 2", text)
    assert code == 0, err
    assert done("ppl -m m --format tsv --report word", text) == done(
        "ppl -m small.rnnlm --format tsv --report word train.txt"
    )
    assert done("ppl -m m --report word - --format tsv", text) == done("ppl -m m --report word --format tsv", text)


def test_files_patterns_folders_and_compressed_text_are_one_text(folder, done):
    lines = (folder / "train.txt").read_bytes().splitlines(keepends=True)
    (folder / "parts").mkdir()
    (folder / "parts" / "a.txt").write_bytes(b"".join(lines[:700]))
    (folder / "parts" / "b.txt.gz").write_bytes(gzip.compress(b"".join(lines[700:])))
    options = "--hidden 6 --class 4 --max-iter 3 --seed 2"
    whole = library.load("small.rnnlm")
    for k, text in enumerate(("parts/a.txt parts/b.txt.gz", "parts", "'parts/*'")):
        done(f"train {text} --valid valid.txt -o m{k} {options}")
        found = library.load(f"m{k}")
        assert all(np.array_equal(found.params[name], whole.params[name]) for name in whole.params)
    assert done("ppl -m m0 parts --report word --format tsv") == done("ppl -m m0 train.txt --report word --format tsv")


def test_without_validation_text_a_share_is_held_out_and_said(folder, rnnlm):
    code, _, err = rnnlm("train train.txt --valid-share 0.1 -o m --hidden 4 --class 1 --max-iter 1 --seed 9")
    assert code == 0
    assert "held out for validation: 240 sentences drawn with seed 9\n" in err


def test_the_vocabulary_knows_the_training_part_only(folder, rnnlm, done):
    # every sentence has a word of its own: those of the sentences held out must not be known
    (folder / "own.txt").write_text("".join(f"we read word{k}\n" for k in range(100)))
    code, _, err = rnnlm("train own.txt --valid-share 0.2 -o m --hidden 4 --class 1 --max-iter 1")
    assert code == 0
    assert "vocabulary: 83 words\n" in err  # </s> we read, and 80 of a hundred
    assert "validation: 80 words and sentence ends, 25.00% unknown\n" in err
    assert len(library.load("m").vocab) == json.loads(done("info m --json"))["words"] == 83


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--min-count 3", {b"</s>", b"<unk>", b"the", b"cat"}),
        ("--max-vocab 5", {b"</s>", b"<unk>", b"the", b"cat", b"sat"}),
        ("--vocab list.vocab", {b"</s>", b"cat", b"the", b"bird"}),
    ],
)
def test_the_vocabulary_can_be_limited(folder, done, options, words):
    # the 4, cat 3, sat 2, and four words once
    (folder / "small.txt").write_text("the cat sat\nthe cat ran\nthe dog sat\nthe cat on mat\n")
    (folder / "list.vocab").write_text("cat\nthe\nbird\n")
    done(f"train small.txt --valid small.txt -o m --hidden 4 --class 1 --max-iter 1 {options}")
    assert set(library.load("m").vocab.words) == words


def test_snapshots_are_text_of_the_vocabulary(folder, done):
    out = done("train train.txt --valid valid.txt -o m --hidden 6 --class 4 --max-iter 3 --snapshot 8000")
    vocabulary = {word.decode() for word in library.load("m").vocab.words}
    *snapshots, rest = re.split(r"^epoch .*\n", out, flags=re.M)
    assert rest == ""
    assert len(snapshots) == 3  # an epoch has 8636 words: the end of each is the first stop beyond 8000 more
    for snapshot in snapshots:
        title, *text = snapshot.splitlines()
        assert re.fullmatch(r"--- epoch \d, word \d+", title)
        words = " ".join(text).split()
        assert len(words) == 40
        assert set(words) <= vocabulary


def test_snapshots_and_checkpoints_change_nothing(folder, done):
    options = "--hidden 6 --class 4 --max-iter 3 --seed 2"
    done(f"train train.txt --valid valid.txt -o m {options} --snapshot 1 --checkpoint 1e-9")
    found, whole = library.load("m"), library.load("small.rnnlm")
    assert all(np.array_equal(found.params[name], whole.params[name]) for name in whole.params)


def test_words_of_a_tokenizer_are_scored_and_written_as_they_were_trained(folder, rnnlm, done):
    text = "".join(f"Well, {name} said: don't (ever) do that!\n" for name in ("Ann", "Bob", "Cy") for _ in range(40))
    (folder / "speech.txt").write_text(text)
    done("train speech.txt -o m --tokenizer word --lower --hidden 8 --class 1 --max-iter 30")
    assert json.loads(done("info m --json"))["training"]["tokenizer"] == "word+lower"
    words = [row["word"] for row in rows_of(done("surprisal -m m", b"WELL, Ann said: don't do.\n"))]
    assert words == ["well", ",", "ann", "said", ":", "don't", "do", ".", "</s>"]
    sentence = done("generate -m m --words 40 --temperature 0 --prefix 'Well, bob'").splitlines()[0]
    assert sentence == "well, bob said: don't (ever) do that!"
    # what the user asks for comes first; --lower alone keeps the model's tokenizer
    words = [row["word"] for row in rows_of(done("surprisal -m m --tokenizer whitespace", b"Well, Ann\n"))]
    assert words == ["Well,", "Ann", "</s>"]
    assert len(rows_of(done("surprisal -m m --lower", b"Well, Ann\n"))) == 4
    for dynamic in ("", "--dynamic 0.1"):
        assert json.loads(done(f"ppl -m m --format json {dynamic}", b"Well, Ann said\n"))["words"] == 4


def test_characters_are_joined_again(folder, done):
    (folder / "abc.txt").write_text("ab ab ab\n" * 300)
    done("train abc.txt -o m --tokenizer char --hidden 10 --class 1 --alpha 0.3 --max-iter 15")
    assert done("generate -m m --words 16 --temperature 0").splitlines()[0] == "ab ab ab"


# ---- ppl


def test_the_summary_has_the_agreed_keys_and_they_agree_with_each_other(folder, done):
    (folder / "test2.txt").write_bytes((folder / "test.txt").read_bytes() + b"a zebra eats\n\n")
    found = json.loads(done("ppl -m small.rnnlm test2.txt --format json"))
    assert set(found) >= JSON_KEYS
    n = found["words"] + found["sentences"] - found["oov"]
    assert (found["sentences"], found["oov"]) == (202, 3)
    assert found["perplexity"] == pytest.approx(10 ** (-found["log10_prob"] / n))
    assert found["ppl1"] == pytest.approx(10 ** (-found["log10_prob"] / (n - found["sentences"])))
    assert found["bits_per_word"] == pytest.approx(math.log2(found["perplexity"]))
    assert found["perplexity_including_oov"] is None  # infinite: the model has no <unk>
    assert found["words_per_second"] > 0


def test_all_reports_and_formats_tell_the_same(folder, done):
    (folder / "test2.txt").write_bytes((folder / "test.txt").read_bytes() + b"a zebra eat\n\n")
    ppl = "ppl -m small.rnnlm test2.txt"
    summary = json.loads(done(f"{ppl} --format json"))
    (as_tsv,) = rows_of(done(f"{ppl} --format tsv"))
    for key in JSON_KEYS - {"words_per_second", "perplexity_including_oov"}:
        assert float(as_tsv[key]) == pytest.approx(summary[key])
    text = done(ppl)
    assert re.search(rf"^perplexity +{summary['perplexity']:.4f}$", text, re.M)
    assert re.search(rf"^OOVs +{summary['oov']} ", text, re.M)
    srilm = done(f"{ppl} --format srilm")
    counts = f"{summary['sentences']} sentences, {summary['words']} words, {summary['oov']} OOVs"
    assert srilm.startswith(f"file test2.txt: {counts}\n0 zeroprobs, logprob= ")
    assert float(re.search(r"ppl= (\S+)", srilm)[1]) == pytest.approx(summary["perplexity"], rel=1e-6)
    for report, key in (("sentence", "words"), ("word", "position")):
        table, lines = (
            rows_of(done(f"{ppl} --report {report} --format tsv")),
            objects(done(f"{ppl} --report {report} --format json")),
        )
        assert len(table) == len(lines)
        assert [int(row[key]) for row in table] == [line[key] for line in lines]
        assert sum(float(row["log10_prob"] or 0) for row in table) == pytest.approx(summary["log10_prob"])
        assert sum(int(row["oov"]) for row in table) == summary["oov"]
        for form in ("text", "srilm"):
            assert f"{summary['perplexity']:.3f}"[:-1] in done(f"{ppl} --report {report} --format {form}")
    assert len(table) == summary["words"] + summary["sentences"]


def test_what_a_word_outside_the_vocabulary_costs_is_chosen(folder, done):
    done("train train.txt --valid valid.txt --min-count 60 -o m --hidden 4 --class 1 --max-iter 1")
    text = b"zebra\n"

    def score(options):
        return json.loads(done(f"ppl -m m --format json {options}", text))

    whole = score("--oov unk")
    assert whole["oov"] == 1
    assert score("")["log10_prob"] == score("--oov skip")["log10_prob"] > whole["log10_prob"]
    by_floor = score("--oov floor --floor -3")
    assert by_floor["log10_prob"] == pytest.approx(score("")["log10_prob"] - 3)
    assert score("")["perplexity_including_oov"] == pytest.approx(whole["perplexity"])


def test_dynamic_evaluation_learns_from_the_text_and_leaves_the_file(folder, done):
    before = (folder / "small.rnnlm").read_bytes()
    (folder / "same.txt").write_text("dragon eat cookie\n" * 200)
    static = json.loads(done("ppl -m small.rnnlm same.txt --format json"))
    dynamic = json.loads(done("ppl -m small.rnnlm same.txt --format json --dynamic 0.1"))
    assert dynamic["perplexity"] < 0.5 * static["perplexity"]
    assert dynamic["words"] == static["words"]
    assert (folder / "small.rnnlm").read_bytes() == before
    bits = sum(float(row["surprisal"]) for row in rows_of(done("surprisal -m small.rnnlm same.txt --dynamic 0.1")))
    assert bits == pytest.approx(-dynamic["log10_prob"] * math.log2(10), rel=1e-4)


# ---- surprisal


def test_entropy_is_that_of_the_models_distribution(folder, done):
    row = rows_of(done("surprisal -m small.rnnlm", b"cat\n"))[0]
    lm = library.load("small.rnnlm")
    p = lm.distribution(lm.start())
    assert float(row["entropy"]) == pytest.approx(-(p * np.log2(p)).sum(), abs=1e-5)
    assert float(row["surprisal"]) == pytest.approx(-np.log2(p[lm.vocab.index("cat")]), abs=1e-5)


def test_several_models_stand_beside_each_other(folder, done):
    done("train test.txt --valid valid.txt -o other.rnnlm --hidden 4 --class 1 --max-iter 1")
    both = rows_of(done("surprisal -m small.rnnlm -m other.rnnlm -m small.rnnlm valid.txt"))
    for name, column in (("small.rnnlm", "small"), ("other.rnnlm", "other"), ("small.rnnlm", "small_2")):
        alone = rows_of(done(f"surprisal -m {name} valid.txt"))
        for measure in ("surprisal", "entropy", "entropy_reduction", "oov"):
            assert [row[measure] for row in alone] == [row[f"{measure}_{column}"] for row in both]


def test_surprisal_as_json_lines_and_without_sentence_ends(folder, done):
    table = rows_of(done("surprisal -m small.rnnlm test.txt"))
    lines = objects(done("surprisal -m small.rnnlm test.txt --format json"))
    assert [line["surprisal"] for line in lines] == [float(row["surprisal"]) for row in table]
    assert lines[-1]["entropy_reduction"] is None
    words = rows_of(done("surprisal -m small.rnnlm test.txt --no-ends"))
    assert words == [row for row in table if row["word"] != "</s>"]


# ---- generate, info, convert


def test_generated_text_is_seeded_and_of_the_length_asked_for(folder, done):
    text = done("generate -m small.rnnlm --words 50 --seed 3")
    assert len(text.split()) == 50
    assert text == done("generate -m small.rnnlm --words 50 --seed 3")
    assert text != done("generate -m small.rnnlm --words 50 --seed 4")
    assert set(text.split()) <= {word.decode() for word in library.load("small.rnnlm").vocab.words}


def test_a_prefix_is_printed_and_gone_on_from_line_by_line(folder, done):
    text = done("generate -m small.rnnlm --words 5 --prefix 'cat eat\nman'")
    first, second, *rest = text.splitlines()
    assert first == "cat eat"
    assert second.startswith("man")
    assert len(" ".join([second, *rest]).split()) == 6


def test_a_prefix_that_the_model_does_not_know_is_warned_of(folder, rnnlm):
    code, out, err = rnnlm("generate -m small.rnnlm --words 5 --prefix 'the zébra'")
    assert code == 0
    assert out.startswith("the zébra")
    assert err == "Warning: the: not in the vocabulary of small.rnnlm\n"


def test_the_unknown_word_is_not_written_on_request(folder, done):
    done("train train.txt --valid valid.txt --min-count 200 -o m --hidden 4 --class 1 --max-iter 1")
    assert "<unk>" in done("generate -m m --words 100")
    assert "<unk>" not in done("generate -m m --words 100 --no-unk")


def test_info_tells_architecture_and_history(folder, done):
    found = json.loads(done("info small.rnnlm --json"))
    assert found["architecture"]["hidden"] == 6
    assert found["format"] == "native"
    assert found["words"] == 30
    assert found["parameters"] == 30 * 6 + 6 * 6 + 30 * 6 + 4 * 6
    assert found["best_valid_perplexity"] == min(epoch["valid_perplexity"] for epoch in found["history"])
    text = done("info small.rnnlm")
    assert "elman, 6 logistic hidden units, 4 classes" in text
    assert "alpha 0.1, bptt 4, block 10, seed 2" in text
    assert len(text.split("epoch ")[1].splitlines()) == 4


def test_what_a_format_cannot_hold_is_said(folder, rnnlm, done):
    done("train train.txt --valid valid.txt -o m --tokenizer word --lower --hidden 4 --class 1 --max-iter 1")
    code, _, err = rnnlm("convert m -o m.txt --to 0.4b-text")
    assert code == 0
    assert err == "Warning: m.txt will not know its tokenizer: give --tokenizer word --lower wherever it is used\n"
    done("train train.txt --valid valid.txt -o relu --activation relu --hidden 4 --class 1 --max-iter 1")
    code, _, err = rnnlm("convert relu -o relu.txt --to 0.4b-text")
    assert (code, err.count("\n")) == (1, 1)
    assert "its activation is relu" in err
    assert not (folder / "relu.txt").exists()


# ---- the library


def test_three_lines_of_python_score_as_the_command(folder, done):
    lm = library.load("small.rnnlm")
    state = lm.start()
    scored, state = lm.score(["dragon", "eat", "cookie", "</s>"], state)
    table = rows_of(done("ppl -m small.rnnlm --report word --format tsv", b"dragon eat cookie\n"))
    assert [float(row["log10_prob"]) for row in table] == pytest.approx(scored.log10_prob.tolist())


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the processor time of another process is asked for as POSIX does")
def test_a_cached_start_takes_no_longer_than_a_second_and_a_half(folder, start_rnnlm):
    import resource

    times = []
    for _ in range(4):  # processor time, because the machine may have other work
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with start_rnnlm("ppl -m small.rnnlm test.txt") as process:
            process.communicate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(times) < 1.5


def test_nothing_is_left_behind(folder, done):
    done("train train.txt -o m --hidden 4 --class 1 --max-iter 1 --tmp .")
    names = {"train.txt", "valid.txt", "test.txt", "small.rnnlm"}
    assert set(os.listdir(folder)) == {*names, "m"}
