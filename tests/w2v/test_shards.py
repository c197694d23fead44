"""How a text is dealt out to workers shard by shard, and the learning rate of each."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import word2vec as twin
from tests.two_subjects import (
    N_WORDS,
    TEXT,
    arrays,
    config_of,
    counts_of,
    objectives,
    read_only,
    trainer_of,
)
from w2v.config import TrainConfig
from w2v.shards import Plan

pytestmark = pytest.mark.usefixtures("small_table")


def plan_of(ids, length):
    return Plan(TrainConfig(), read_only(ids), length, np.zeros(2, np.uint32))


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
