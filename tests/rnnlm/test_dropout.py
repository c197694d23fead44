"""Dropout: gradients with the masks that were drawn are the twins', and the masks are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from rnnlm.config import ModelConfig, TrainConfig, require_fit
from rnnlm.dropout import Dropout
from rnnlm.threads import Workers
from tests.reference.networks import Masks, numbered
from tests.rnnlm.test_minibatch import NETWORKS, B, T, engine_for, gradient_in_full, model_of, text, twin_of

RATES = {
    "units": {"dropout": 0.4},
    "units, each place its own": {"dropout_input": 0.5, "dropout_between": 0.3, "dropout_output": 0.6},
    "units, locked": {"dropout": 0.4, "locked": True},
    "words": {"dropout_words": 0.3},
    "recurrent weights": {"dropout_recurrent": 0.3},
    "all": {"dropout": 0.3, "dropout_words": 0.2, "dropout_recurrent": 0.3, "locked": True},
}
TWO_LAYERS = [name for name in NETWORKS if "2 layers" in name or "tied" in name]


def units_mask(dropout: Dropout, site: int, width: int, block: int) -> np.ndarray:
    """(T, B, width), as the twin wants it: what a matrix of ones becomes."""
    ones = np.ones((B * T, width))
    dropout.units(site, block, ones, ones, (0, B * T), width, T)
    return ones.reshape(B, T, width).swapaxes(0, 1)


def masks_of(engine, inputs: np.ndarray, block: int) -> Masks:
    """Those of a block whose inputs are (T, B)."""
    net, dropout = engine.model.config, engine.dropout
    heard = dropout.inputs(block, inputs.astype(np.int32).ravel()).reshape(inputs.shape) == inputs
    below = units_mask(dropout, 0, net.embedding, block) * heard[:, :, None]
    above = [units_mask(dropout, at + 1, net.hidden, block) for at in range(net.layers)]
    return Masks(below, tuple(above[:-1]), above[-1])


def recurrent_masks(engine, block: int) -> dict[str, np.ndarray]:
    found = {}
    for at in range(engine.model.config.layers):
        mask = np.ones(engine.model.params[numbered("W", at)].shape)
        if engine.dropout.recurrent:
            engine.dropout.weights(at, block, mask, mask, mask.shape[1], Workers(1, mask.dtype))
        found[numbered("W", at)] = mask
    return found


@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
@pytest.mark.parametrize("name", TWO_LAYERS)
def test_gradients_with_masks_are_the_twins(name, rates):
    lm = model_of(name)
    twin, engine, ids = twin_of(lm), engine_for(lm, **rates), text(2 * B * T).reshape(2, B, T)
    weights, states, last = {each: values.copy() for each, values in twin.p.items()}, None, np.zeros((1, B), int)
    for block, targets in enumerate(ids):
        engine.counters[0] = block  # as if the weights had been changed by nothing
        inputs = np.concatenate([last, targets.T[:-1]])
        masks, thinned = masks_of(engine, inputs, block), recurrent_masks(engine, block)
        for each, mask in thinned.items():
            twin.p[each] = weights[each] * mask
        log_prob, _, after = twin.forward(inputs, targets.T, states, masks)
        expected = twin.gradients(inputs, targets.T, states, masks)
        np.testing.assert_allclose(engine.differentiate(targets), log_prob.T, rtol=1e-10, atol=1e-12)
        for each, gradient in engine.gradients.items():
            np.testing.assert_allclose(
                gradient_in_full(gradient), -expected[each] * thinned.get(each, 1.0) / B,
                rtol=1e-8, atol=1e-10, err_msg=each,
            )  # fmt: skip
        states, last = after, targets.T[-1:]


@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
def test_what_is_drawn_depends_neither_on_threads_nor_on_who_goes_on(rates, monkeypatch):
    monkeypatch.setattr("rnnlm.engines.minibatch._FEW", 0)
    name, ids = TWO_LAYERS[0], text(3 * B * T).reshape(3, B, T)
    found = []
    for threads in (1, 2):
        lm = model_of(name, dtype="float32")
        engine = engine_for(lm, threads, **rates)
        assert engine.workers.n == threads
        for targets in ids:
            engine.learn_block(targets, 0.1)
        found.append({each: values.copy() for each, values in lm.params.items()})
    lm = model_of(name, dtype="float32")
    engine = engine_for(lm, **rates)
    engine.learn_block(ids[0], 0.1)
    other = engine_for(lm, **rates)  # of the same weights, as from a checkpoint
    other.restore({each: values.copy() for each, values in engine.state().items()})
    for targets in ids[1:]:
        other.learn_block(targets, 0.1)
    for each, values in lm.params.items():
        np.testing.assert_array_equal(values, found[0][each], err_msg=each)
        np.testing.assert_array_equal(values, found[1][each], err_msg=each)


# ---- masks

NET = ModelConfig(cell="lstm", hidden=100, layers=2, embedding=50, classes=1, dtype="float64")


def dropout_of(net=NET, **settings) -> Dropout:
    return Dropout(net, TrainConfig(engine="minibatch", **settings))


def mask_of(dropout, site, rows=2000, columns=100, *, block=0, n_steps=10):
    ones = np.ones((rows, columns))
    dropout.units(site, block, ones, ones, (0, rows), columns, n_steps)
    return ones


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_is_zero_and_the_mean_stays(share):
    mask = mask_of(dropout_of(dropout=share), 1)
    n = mask.size
    assert set(np.unique(mask)) == {0.0, 1 / (1 - share)}
    five_deviations = 5 * (share * (1 - share) / n) ** 0.5
    assert (mask == 0).mean() == pytest.approx(share, abs=five_deviations)
    assert mask.mean() == pytest.approx(1, abs=five_deviations / (1 - share))
    # of every row and every column, too
    for axis, m in ((0, 2000), (1, 100)):
        assert np.abs((mask == 0).mean(axis) - share).max() < 6 * (share * (1 - share) / m) ** 0.5


def test_elements_are_independent_of_their_neighbours():
    kept = mask_of(dropout_of(dropout=0.5), 1) > 0
    for pair in ((kept[:, 1:], kept[:, :-1]), (kept[1:], kept[:-1]), (kept[1:, 1:], kept[:-1, :-1])):
        assert (pair[0] & pair[1]).mean() == pytest.approx(0.25, abs=5 * (3 / 16 / pair[0].size) ** 0.5)


def test_place_block_and_seed_draw_others_and_the_same_draw_the_same():
    dropout = dropout_of(dropout=0.5)
    first = mask_of(dropout, 1)
    np.testing.assert_array_equal(mask_of(dropout_of(dropout=0.5), 1), first)
    others = [mask_of(dropout, 2), mask_of(dropout, 1, block=1), mask_of(dropout_of(dropout=0.5, seed=2), 1)]
    for other in others:
        assert (other == first).mean() == pytest.approx(0.5, abs=5 * 0.5 / first.size**0.5)


def test_parts_of_rows_draw_what_the_whole_draws():
    dropout, whole = dropout_of(dropout=0.5, locked=True), np.ones((60, 7))
    parts = whole.copy()
    dropout.units(1, 0, whole, whole, (0, 60), 7, 20)
    for begin, end in ((0, 20), (20, 40), (40, 60)):
        dropout.units(1, 0, parts, parts, (begin, end), 7, 20)
    np.testing.assert_array_equal(parts, whole)


def test_locked_masks_are_the_same_at_all_steps_of_a_stream_and_others_in_another():
    mask = mask_of(dropout_of(dropout=0.5, locked=True), 1, rows=600, n_steps=20).reshape(30, 20, 100)
    assert (mask == mask[:, :1]).all()
    assert len(np.unique(mask[:, 0], axis=0)) == 30


def test_masks_of_units_are_other_at_every_step_unless_locked():
    assert len(np.unique(mask_of(dropout_of(dropout=0.5), 1, rows=600), axis=0)) == 600


def test_a_word_is_left_out_wherever_it_is_read_and_in_its_share_of_cases():
    dropout, ids = dropout_of(dropout_words=0.3), np.arange(20_000, dtype=np.int32) % 10_000
    found = dropout.inputs(0, ids)
    np.testing.assert_array_equal(found[:10_000], found[10_000:])
    assert set(np.unique(found[found != ids])) == {-1}
    assert (found < 0).mean() == pytest.approx(0.3, abs=5 * (0.21 / 10_000) ** 0.5)
    assert (dropout.inputs(1, ids) != found).any()
    # what is left of the embeddings is larger
    np.testing.assert_allclose(mask_of(dropout, 0, columns=50), 1 / 0.7)


def test_what_is_not_asked_for_is_not_done():
    ids = np.arange(9, dtype=np.int32)
    dropout = dropout_of(dropout_output=0.5)
    assert [dropout.drops(site) for site in range(3)] == [False, False, True]
    assert dropout.inputs(0, ids) is ids
    assert dropout.recurrent == 0


# ---- settings


def test_each_place_has_the_share_of_all_unless_it_has_its_own():
    config = TrainConfig(dropout=0.5, dropout_between=0.0, dropout_output=0.25)
    assert [config.dropout_share(place) for place in ("input", "between", "output")] == [0.5, 0.0, 0.25]


NAMES = ("dropout", "dropout_input", "dropout_between", "dropout_output", "dropout_words", "dropout_recurrent")


@pytest.mark.parametrize("name", NAMES)
def test_nobody_leaves_out_everything(name):
    with pytest.raises(ValueError, match=f"`{name}` 1.0: 0 or above, below 1"):
        TrainConfig(**{name: 1.0})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dropout_input": 0.1}, "`dropout_input` 0.1: only with an `embedding`"),
        ({"dropout_words": 0.1}, "`dropout_words` 0.1: only with an `embedding`"),
        ({"dropout_between": 0.1}, "`dropout_between` 0.1: only with more than 1 of `layers`"),
    ],
)
def test_a_network_without_the_place_refuses_its_share(settings, message):
    lstm = ModelConfig(cell="lstm", classes=1)
    with pytest.raises(ValueError, match=message):
        require_fit(lstm, TrainConfig(engine="minibatch", **settings))
    require_fit(lstm, TrainConfig(engine="minibatch", dropout=0.1, **dict.fromkeys(settings, 0.0)))


def test_nothing_is_locked_where_nothing_is_left_out():
    with pytest.raises(ValueError, match="`locked`: there is no `dropout`"):
        TrainConfig(locked=True, dropout_recurrent=0.5)
    assert TrainConfig(locked=True, dropout_output=0.5).locked
