"""Training with the real kernels on small texts: as the twins, the same on any number of threads, what is learnt."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from corpora.compute.simd import padded
from tests.two_subjects import (
    N_WORDS,
    OBJECTIVES,
    SIZE,
    TEXT,
    arrays,
    config_of,
    objectives,
    read_only,
    trained,
    trainer_of,
)
from tests.word2vec_shards import drawn_matrices, learn_exact, learn_shared, learn_tree, padded_copies, windows_of
from w2v.config import TrainConfig
from w2v.matrices import Matrices
from w2v.objectives.shared import chunk_of, drawn_of
from w2v.shards import Worker

pytestmark = pytest.mark.usefixtures("small_table")


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
            results.append(learn_tree(m, windows, plan.tables["hierarchical"], alpha, **how))
        if config.negative and config.negatives == "exact":
            results.append(learn_exact(m, windows, negatives, alpha, negative=config.negative, **how))
        elif config.negative:
            drawn, chunk = negatives.reshape(-1, drawn_of(config)), chunk_of(config, N_WORDS)
            results.append(learn_shared(m, windows, drawn, alpha, chunk=chunk, negative=config.negative, **how))
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
        trainer.matrices.by_name[name][:] = values
    for epoch, report in enumerate(trainer.fit()):
        loss, examples = learn_epoch(m, trainer.plan, epoch)
        assert report.examples == examples
        assert report.loss == pytest.approx(loss / examples, rel=1e-5 if dtype == "float32" else 1e-6)
    for name in names:
        values = trainer.matrices.by_name[name]
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
            worker.train(sampled, plan.alpha(0, shard), own.by_name, plan.tables)
            kept = np.bincount(sampled.kept[: sampled.n], minlength=N_WORDS)
            all_words = kept + np.bincount(sampled.negatives, minlength=N_WORDS)
            lanes["syn0"].append((kept, own.syn0))
            lanes["syn1neg"].append((all_words, own.outputs["syn1neg"]))
            if config.hs:
                nodes = np.concatenate(
                    [plan.tables["hierarchical"].path(word)[0] for word in sampled.kept[: sampled.n]]
                )
                lanes["syn1"].append((np.bincount(nodes, minlength=N_WORDS), own.outputs["syn1"]))
        for name, of_lanes in lanes.items():
            if of_lanes:
                rate = 2 * plan.alpha(0, shards_of_round[0])
                m.by_name[name][:] = brought_together(m.by_name[name].astype(float), of_lanes, rate)
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
    assert not any(values.any() for values in m.outputs.values())
    assert sum(values.nbytes for values in m.by_name.values()) == Matrices.bytes_needed(40_000, config)
    assert set(m.state(20)) == {"syn1neg", "syn1"}
    assert np.array_equal(Matrices.create(100, config, 3).syn0, m.syn0[:100])  # a row does not depend on what follows
    assert not np.array_equal(Matrices.create(100, config, 4).syn0, m.syn0[:100])


def test_matrices_that_are_not_in_use_are_not_there():
    assert set(Matrices.create(3, config_of("cbow"), 1).outputs) == {"syn1neg"}
    hierarchical = Matrices.create(3, config_of("cbow-hs"), 1)
    assert set(hierarchical.outputs) == {"syn1"}
    assert set(hierarchical.state(SIZE)) == {"syn1"}
