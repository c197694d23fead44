"""Training with the real kernels on small texts: shards, learning rate, threads, going on, and what is learnt."""

import gc
import threading
import time
from copy import deepcopy
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.simd import padded
from tests.reference import word2vec as twin
from tests.word2vec_shards import drawn_matrices, learn_exact, learn_shared, learn_tree, padded_copies, windows_of
from w2v import shards
from w2v import trainer as trainer_module
from w2v.config import TrainConfig
from w2v.matrices import Matrices
from w2v.shards import Plan, Worker
from w2v.trainer import Trainer

SIZE = 12
OBJECTIVES = {
    "skipgram": {"architecture": "skipgram"},
    "cbow": {"architecture": "cbow"},
    "skipgram-hs": {"architecture": "skipgram", "hs": True, "negative": 0},
    "cbow-hs": {"architecture": "cbow", "hs": True, "negative": 0},
    "skipgram-both": {"architecture": "skipgram", "hs": True},
    "cbow-both": {"architecture": "cbow", "hs": True, "cbow_update": "corrected"},
    "skipgram-exact": {"architecture": "skipgram", "negatives": "exact"},
    "cbow-exact": {"architecture": "cbow", "negatives": "exact"},
}
objectives = pytest.mark.parametrize("objective", OBJECTIVES)


@pytest.fixture(autouse=True)
def small_table(monkeypatch):
    """4 million places are shuffled in some time; small texts need less of them."""
    monkeypatch.setattr(shards, "_TABLE", 1 << 14)


@pytest.fixture
def often(monkeypatch):
    """Ticks follow one another at once, and a shard takes longer than some of them."""
    train = Worker.train

    def slowly(worker, *args):
        result = train(worker, *args)
        time.sleep(0.001)
        return result

    monkeypatch.setattr(Worker, "train", slowly)
    monkeypatch.setattr(trainer_module, "_TICK", 1e-4)


def read_only(ids):
    ids = np.asarray(ids, np.int32)
    ids.setflags(write=False)  # as those of a mapped file: the kernels are compiled for these
    return ids


def counts_of(ids, n_words):
    return np.bincount(ids[ids >= 0], minlength=n_words)


def text_of_two_subjects(n_sentences=600, seed=0):
    """ids: each sentence is about the even or about the odd of the words 1 ... 30; some words are unknown."""
    rng = np.random.default_rng(seed)
    parts = []
    for subject in rng.integers(2, size=n_sentences):
        words = 1 + subject + 2 * np.minimum(rng.geometric(0.15, rng.integers(3, 14)) - 1, 14)
        words[rng.random(words.size) < 0.05] = -1
        parts += [words, [0]]
    return read_only(np.concatenate(parts))


TEXT = text_of_two_subjects()
N_WORDS = 31


def config_of(objective="cbow", **options):
    return TrainConfig(**{"size": SIZE, "window": 4, "iterations": 2, "sample": 0.05} | OBJECTIVES[objective] | options)


def trainer_of(config, ids=TEXT, *, n_words=N_WORDS, seed=None, **options):
    matrices = Matrices.create(n_words, config, config.seed if seed is None else seed)
    return Trainer(config, matrices, ids, counts_of(ids, n_words), **options)


def arrays(matrices):
    return [values for values in (matrices.syn0, matrices.syn1neg, matrices.syn1) if values is not None]


def bytes_of(trainer):
    return [values.tobytes() for values in arrays(trainer.matrices)]


def trained(config, ids=TEXT, **options):
    trainer = trainer_of(config, ids, **options)
    reports = list(trainer.fit())
    return bytes_of(trainer), reports


# ---- shards


def plan_of(ids, length):
    return Plan(TrainConfig(), read_only(ids), length, np.zeros(2, np.uint32), None, None)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    sentences=st.lists(st.integers(0, 200) | st.integers(0, 3000), max_size=12),
    length=st.sampled_from([256, 300, 1001]),
    is_ended=st.booleans(),
)
def test_shards_cover_the_text_once_and_end_after_sentences_where_one_is_near(sentences, length, is_ended):
    ids = np.concatenate([np.zeros(0, int), *([1] * n + [0] for n in sentences)])
    ids = ids if is_ended else ids[:-1]
    plan = plan_of(ids, length)
    begins = [plan.begin(shard) for shard in range(plan.n_shards + 1)]
    assert begins[0] == 0
    assert begins[-1] == ids.size
    assert begins == sorted(begins)
    assert max(np.diff(begins)) <= length + length // 4  # what a worker has room for
    for shard, begin in enumerate(begins[1:-1], 1):
        near = ids[shard * length : shard * length + length // 4]
        if (near == 0).any():
            assert begin == 0 or ids[begin - 1] == 0
        else:
            assert begin == shard * length


def test_a_short_text_has_shards_enough_for_small_steps_of_the_learning_rate():
    sizes = [100, 10_000, 100_000, 1_000_000, 10_000_000]
    for deterministic, longest in ((False, 1 << 14), (True, 1 << 15)):
        config = config_of("cbow-hs", deterministic=deterministic)
        plans = [Plan.create(config, np.broadcast_to(np.int32(1), size), np.array([1, 5])) for size in sizes]
        assert [plan.length for plan in plans] == [256, 256, 781, 7812, longest]
        assert [plan.n_shards for plan in plans] == [1, 40, 129, 129, -(-10_000_000 // longest)]


@objectives
def test_a_worker_has_room_for_whatever_is_in_a_shard(objective):
    # nothing is left out, the shards are as long as they get, and windows full on both sides
    config = config_of(objective, sample=0, window=1000 if objective != "skipgram-exact" else 90, fixed_window=True)
    ids = np.ones(2 * 256 + 20)
    ids[:60], ids[256 + 63] = 2, 0
    trainer = trainer_of(replace(config, iterations=1, alpha=1e-4), read_only(ids), n_words=3)
    assert [trainer.plan.begin(shard) for shard in range(4)] == [0, 256 + 64, 512, 532]
    (report,) = trainer.fit()
    n_pairs = sum(
        windows.sum() - windows.size
        for n in (256 + 63, 192, 20)
        for windows in [np.minimum(np.arange(n) + config.window + 1, n) - np.maximum(np.arange(n) - config.window, 0)]
    )
    assert report.examples == (n_pairs if objective.startswith("skipgram") else 256 + 63 + 192 + 20)
    assert all(np.isfinite(values).all() for values in arrays(trainer.matrices))


# ---- the learning rate


def test_the_learning_rate_falls_with_the_words_as_in_word2vec():
    config = config_of(alpha=0.04, iterations=3)
    plan = Plan.create(config, TEXT, counts_of(TEXT, N_WORDS))
    total = 3 * TEXT.size
    for epoch in range(3):
        for shard in range(plan.n_shards + 1):
            done = epoch * TEXT.size + plan.begin(shard)
            # word2vec.c counts one word more, so that it never divides by 0
            assert plan.alpha(epoch, shard) == pytest.approx(twin.learning_rate(0.04, done, total), abs=0.04 / total)
    assert plan.alpha(0, 0) == 0.04
    assert plan.alpha(2, plan.n_shards) == pytest.approx(0.04 * 1e-4)  # the floor


def test_the_reports_say_how_far_it_has_fallen():
    trainer = trainer_of(config_of(iterations=4, alpha=0.1))
    assert trainer.alpha == 0.1
    reports = list(trainer.fit())
    assert [report.alpha for report in reports] == pytest.approx([0.075, 0.05, 0.025, 1e-5])
    assert [report.epoch for report in reports] == [0, 1, 2, 3]
    assert all(report.words == TEXT.size for report in reports)
    assert trainer.progress.words == 4 * TEXT.size
    assert all(report.words_per_second > 0 and report.seconds > 0 for report in reports)


# ---- one thread is the twins, shard by shard


def learn_epoch(m, plan, epoch):
    """The twins' epoch with a worker's words, in place; the loss and the number of examples."""
    config, worker, total, examples = plan.config, Worker(plan), 0.0, 0
    how = {"cbow": config.architecture == "cbow", "update": config.cbow_update}
    for shard in range(plan.n_shards):
        n, kept, first, stop, negatives = worker.sample(epoch, shard)
        alpha, windows = plan.alpha(epoch, shard), windows_of(kept[:n], first[:n], stop[:n])
        results = []
        if config.hs:
            results.append(learn_tree(m, windows, plan.tree, alpha, **how))
        if config.negative and config.negatives == "exact":
            results.append(learn_exact(m, windows, negatives, alpha, negative=config.negative, **how))
        elif config.negative:
            drawn = negatives.reshape(-1, plan.n_drawn)
            results.append(learn_shared(m, windows, drawn, alpha, chunk=plan.chunk, negative=config.negative, **how))
        total += sum(loss for loss, _ in results)
        examples += results[-1][1]
    return total, examples


@pytest.mark.parametrize(
    ("objective", "dtype"),
    [*((name, "float32") for name in OBJECTIVES), ("skipgram-both", "float64"), ("cbow-both", "float64")],
)
def test_one_thread_learns_what_the_twins_learn_from_the_same_shards(objective, dtype):
    ids, config = TEXT[:420], config_of(objective, dtype=dtype)
    trainer = trainer_of(config, ids)
    names = ["syn0"] + ["syn1neg"] * (config.negative > 0) + ["syn1"] * config.hs
    m = drawn_matrices(np.random.default_rng(1), names, N_WORDS, SIZE)
    for name, values in padded_copies(m, padded(SIZE), dtype).items():
        getattr(trainer.matrices, name)[:] = values
    for epoch, report in enumerate(trainer.fit()):
        loss, examples = learn_epoch(m, trainer.plan, epoch)
        assert report.examples == examples
        assert report.loss == pytest.approx(loss / examples, rel=1e-5 if dtype == "float32" else 1e-6)
    for name in names:
        values = getattr(trainer.matrices, name)
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(values[:, :SIZE], m[name], rtol=0, atol=tolerance, err_msg=name)
        assert not values[:, SIZE:].any()


# ---- the same again


@objectives
def test_one_thread_with_the_same_seed_learns_the_same_bytes(objective):
    config = config_of(objective)
    first, again = trained(config, seed=1), trained(config, seed=1)
    assert first[0] == again[0]
    assert [report.loss for report in first[1]] == [report.loss for report in again[1]]
    # the same vectors to begin with, and other words, windows and negatives
    other, _ = trained(replace(config, seed=2), seed=1)
    assert all(a != b for a, b in zip(first[0], other, strict=True))


@objectives
def test_deterministic_training_does_not_depend_on_the_number_of_threads(objective):
    config = config_of(objective, deterministic=True)
    one, reports = trained(config)
    for threads in (2, 3, 5):
        several, others = trained(config, threads=threads)
        assert several == one
        assert [(r.loss, r.examples) for r in others] == [(r.loss, r.examples) for r in reports]
    assert trained(replace(config, seed=2), seed=1)[0] != one


def brought_together(start, lanes, rate):
    """The rows (V, width) after a round.  lanes: of each, how often it has each row (V,), and the rows it made."""
    hits = np.array([hits for hits, _ in lanes], float)
    n_lanes = np.maximum((hits > 0).sum(axis=0), 1)
    # the changes of rare rows are added, those of frequent ones averaged
    share = 1 / (1 + (n_lanes - 1) * (1 - np.exp(-rate * hits.sum(axis=0) / n_lanes)))
    return start + share[:, None] * sum(rows.astype(float) - start for _, rows in lanes)


@pytest.mark.parametrize("objective", ["skipgram", "cbow-both", "skipgram-exact"])
def test_a_round_is_what_its_lanes_learn_by_themselves_brought_together(objective):
    config = config_of(objective, deterministic=True, iterations=1)
    trainer = trainer_of(config, TEXT[: 256 * 6])  # a round of four shards, and one of two
    list(trainer.fit())
    plan, worker, m = trainer.plan, Worker(trainer.plan), Matrices.create(N_WORDS, config, config.seed)
    assert plan.n_shards == 6
    for shards_of_round in ((0, 1, 2, 3), (4, 5)):
        lanes = {name: [] for name in ("syn0", "syn1neg", "syn1")}
        for shard in shards_of_round:
            own = deepcopy(m)
            sampled = worker.sample(0, shard)
            none = np.empty((0, 0), "float32")
            values = [none if x is None else x for x in (own.syn0, own.syn1neg, own.syn1)]
            worker.train(sampled, plan.alpha(0, shard), *values, plan.tree)
            kept = np.bincount(sampled.kept[: sampled.n], minlength=N_WORDS)
            all_words = kept + np.bincount(sampled.negatives, minlength=N_WORDS)
            lanes["syn0"].append((kept, own.syn0))
            lanes["syn1neg"].append((all_words, own.syn1neg))
            if config.hs:
                nodes = np.concatenate([plan.tree.path(word)[0] for word in sampled.kept[: sampled.n]])
                lanes["syn1"].append((np.bincount(nodes, minlength=N_WORDS), own.syn1))
        for name, of_lanes in lanes.items():
            if of_lanes:
                rate = 2 * plan.alpha(0, shards_of_round[0])
                getattr(m, name)[:] = brought_together(getattr(m, name).astype(float), of_lanes, rate)
    for found, expected in zip(arrays(trainer.matrices), arrays(m), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_deterministic_training_with_float64():
    config = config_of("skipgram-both", deterministic=True, dtype="float64")
    assert trained(config)[0] == trained(config, threads=3)[0]


@objectives
@pytest.mark.parametrize("how", ["three threads", "deterministic"])
def test_several_threads_and_lanes_come_to_about_the_same_loss(objective, how):
    # after some epochs: of this short text, four shards at once are a fifth
    config = config_of(objective, iterations=8)
    *_, alone = trained(config)[1]
    if how == "deterministic":
        *_, report = trained(replace(config, deterministic=True))[1]
    else:
        *_, report = trained(config, threads=3)[1]
    assert report.examples == alone.examples
    assert report.loss == pytest.approx(alone.loss, rel=0.02)


# ---- stopping and going on


def states_at_rest(config, threads=1):
    """(progress, matrices) each time that training rests, about once a shard or round; and the bytes at the end."""
    states, seen = [], [0]

    def on_tick(trainer):
        return trainer.progress.shard + 1000 * trainer.progress.epoch > seen[0]

    def at_rest(trainer):
        states.append(deepcopy((trainer.progress, trainer.matrices)))
        seen[0] = trainer.progress.shard + 1000 * trainer.progress.epoch

    trainer = trainer_of(config, on_tick=on_tick, at_rest=at_rest, threads=threads)
    list(trainer.fit())
    return states, bytes_of(trainer)


@objectives
@pytest.mark.parametrize("deterministic", [False, True])
def test_training_goes_on_from_any_rest_bit_for_bit(objective, deterministic, often):
    config = config_of(objective, deterministic=deterministic)
    through, reports = trained(config)
    states, rested = states_at_rest(config)
    assert rested == through
    assert {progress.epoch for progress, _ in states} == {0, 1}
    for progress, matrices in [states[0], states[1], states[len(states) // 2], states[-1]]:
        fresh = Matrices.create(N_WORDS, config, 99)
        for name in ("syn0", "syn1neg", "syn1"):
            if getattr(matrices, name) is not None:
                fresh.assign(name, getattr(matrices, name)[:, :SIZE])
        trainer = Trainer(config, fresh, TEXT, counts_of(TEXT, N_WORDS), threads=2 if deterministic else 1)
        trainer.progress = deepcopy(progress)
        rest = list(trainer.fit())
        assert bytes_of(trainer) == through
        assert [report.epoch for report in rest] == [0, 1][progress.epoch :]
        for report, expected in zip(rest, reports[progress.epoch :], strict=True):
            assert (report.loss, report.examples, report.words) == (expected.loss, expected.examples, expected.words)


def test_at_rest_all_shards_that_were_begun_are_done(often):
    # whatever the number of threads: words and shards fit each other
    config = config_of("skipgram")
    states, _ = states_at_rest(config, threads=3)
    plan = Plan.create(config, TEXT, counts_of(TEXT, N_WORDS))
    assert len(states) >= 2
    for progress, _ in states:
        assert progress.words == progress.epoch * TEXT.size + plan.begin(progress.shard)


class Stop(Exception):
    pass


def raises(*args):
    raise Stop


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("where", ["on_tick", "at_rest"])
def test_what_a_caller_raises_passes_through_with_all_threads_at_rest(where, deterministic, often):
    before = set(threading.enumerate())
    hooks = {"on_tick": raises} if where == "on_tick" else {"on_tick": lambda trainer: True, "at_rest": raises}
    config = config_of("skipgram", deterministic=deterministic, iterations=50)
    trainer = trainer_of(config, threads=3, **hooks)
    with pytest.raises(Stop):
        list(trainer.fit())
    progress, matrices = astuple(trainer.progress), bytes_of(trainer)
    assert progress[2] < 50 * TEXT.size
    time.sleep(0.05)
    assert (astuple(trainer.progress), bytes_of(trainer)) == (progress, matrices)
    if deterministic:
        return  # its threads wait for work
    assert not set(threading.enumerate()) - before
    # and it can go on
    trainer.on_tick = lambda trainer: False
    assert next(trainer.fit()).words == TEXT.size


@pytest.mark.parametrize("deterministic", [False, True])
def test_an_error_in_a_worker_passes_through(deterministic, monkeypatch):
    before, train, calls = set(threading.enumerate()), Worker.train, []

    def fails_later(worker, *args):
        calls.append(worker)
        if len(calls) > 5:
            raise Stop
        return train(worker, *args)

    monkeypatch.setattr(Worker, "train", fails_later)
    trainer = trainer_of(config_of("skipgram", deterministic=deterministic), threads=3)
    with pytest.raises(Stop):
        list(trainer.fit())
    assert len(calls) < 6 + 4
    if not deterministic:
        assert not set(threading.enumerate()) - before
    # where it goes on, no shard is left out
    progress, plan = trainer.progress, trainer.plan
    assert progress.shard < 6
    assert progress.words == plan.begin(progress.shard)
    monkeypatch.undo()
    assert next(trainer.fit()).words == TEXT.size


def test_threads_of_deterministic_training_end_with_the_trainer():
    before = set(threading.enumerate())
    trainer = trainer_of(config_of("skipgram", deterministic=True), threads=3)
    list(trainer.fit())
    lanes = set(threading.enumerate()) - before
    assert 1 <= len(lanes) <= 3
    del trainer
    gc.collect()
    for thread in lanes:
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.parametrize("deterministic", [False, True])
def test_warming_up_learns_nothing(deterministic):
    config = config_of("skipgram-both", deterministic=deterministic)
    trainer, untouched = trainer_of(config), bytes_of(trainer_of(config))
    assert trainer.warm_up() >= 0
    assert bytes_of(trainer) == untouched
    assert trainer.progress.words == trainer.progress.examples == 0
    list(trainer.fit())
    assert bytes_of(trainer) == trained(config)[0]


# ---- texts of all kinds


def test_ids_may_be_a_mapped_file(tmp_path):
    TEXT.tofile(tmp_path / "ids")
    mapped = np.memmap(tmp_path / "ids", np.int32, "r")
    config = config_of("cbow")
    assert trained(config, mapped)[0] == trained(config)[0]
    assert (
        trained(replace(config, deterministic=True), mapped, threads=2)[0]
        == trained(replace(config, deterministic=True))[0]
    )


TEXTS = {
    "one kind of word": (np.tile([1, 1, 1, 0], 300), 2),
    "two kinds of words": (np.tile([1, 2, 1, 0, 2, -1], 300), 3),
    "no sentence ends": (1 + np.arange(2000) % 7, 8),
    "one word": (np.array([1]), 2),
    "one sentence of two words": (np.array([1, 2, 0]), 3),
    "sentences of one word": (np.tile([1, 0, 2, 0], 200), 3),
    "unknown words and empty sentences first": (np.append(np.tile([-1, 0, 0, -1], 150), [1, 2, 1]), 3),
}


@objectives
@pytest.mark.parametrize("text", TEXTS)
def test_texts_of_all_kinds_are_learnt_from(objective, text):
    ids, n_words = TEXTS[text]
    ids = read_only(ids)
    for deterministic in (False, True):
        config = config_of(objective, deterministic=deterministic, sample=0, alpha=0.002)
        trainer = trainer_of(config, ids, n_words=n_words, threads=2)
        reports = list(trainer.fit())
        assert len(reports) == 2
        assert trainer.progress.words == 2 * ids.size
        assert all(np.isfinite(values).all() for values in arrays(trainer.matrices))
        teaches = text not in ("one word", "sentences of one word")
        assert all((report.examples > 0) == teaches for report in reports)
        assert all((0 < report.loss < 10) == teaches for report in reports)


# ---- what is learnt


@objectives
@pytest.mark.parametrize("deterministic", [False, True])
def test_words_of_one_subject_get_vectors_that_are_alike(objective, deterministic):
    config = config_of(objective, deterministic=deterministic, iterations=12, sample=0.2)
    trainer = trainer_of(config)
    reports = list(trainer.fit())
    assert reports[-1].loss < reports[0].loss
    vectors = trainer.matrices.vectors(SIZE)[1:13]  # the six most frequent words of each subject
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    subject = np.arange(12) % 2
    same = (subject[:, None] == subject) & ~np.eye(12, dtype=bool)
    assert cosines[same].mean() > 0.3 + cosines[subject[:, None] != subject].mean()


@objectives
def test_a_diverging_run_has_a_loss_that_is_no_number(objective):
    trainer = trainer_of(config_of(objective, alpha=1e30))
    *_, report = trainer.fit()
    assert not np.isfinite(report.loss)


# ---- the matrices to begin with


def test_vectors_begin_as_in_word2vec():
    config = TrainConfig(size=20, hs=True)
    m = Matrices.create(40_000, config, 3)
    vectors = m.vectors(20) * 20
    assert vectors.shape == (40_000, 20)
    assert -0.5 <= vectors.min() < -0.49999
    assert 0.49999 < vectors.max() < 0.5
    # uniform: mean 0, variance 1/12
    assert vectors.mean(dtype=float) == pytest.approx(0, abs=4 / np.sqrt(12 * vectors.size))
    assert vectors.var(dtype=float) == pytest.approx(1 / 12, rel=4 / np.sqrt(vectors.size))
    assert not m.syn0[:, 20:].any()
    assert not m.syn1neg.any()
    assert not m.syn1.any()
    assert sum(values.nbytes for values in (m.syn0, m.syn1neg, m.syn1)) == Matrices.bytes_needed(40_000, config)
    assert set(m.state(20)) == {"syn1neg", "syn1"}
    assert np.array_equal(Matrices.create(100, config, 3).syn0, m.syn0[:100])  # a row does not depend on what follows
    assert not np.array_equal(Matrices.create(100, config, 4).syn0, m.syn0[:100])


def test_matrices_that_are_not_in_use_are_not_there():
    assert Matrices.create(3, config_of("cbow"), 1).syn1 is None
    hierarchical = Matrices.create(3, config_of("cbow-hs"), 1)
    assert hierarchical.syn1neg is None
    assert set(hierarchical.state(SIZE)) == {"syn1"}
