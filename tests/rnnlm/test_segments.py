"""Dynamic evaluation of stacks, segment by segment: the update by its definition."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.errors import CorpusError
from rnnlm.config import ModelConfig, parameter_shapes
from rnnlm.dynamic import DynamicLM, learning
from rnnlm.model import RecurrentLM
from rnnlm.segments import root_mean_squares
from rnnlm.updates import Rows
from tests.rnnlm.test_minibatch import B, engine_for, gradient_in_full, model_of, text, twin_of
from tests.small_models import small_vocab


def by_definition(lm, ids, alpha, segment, decay=0.0, roots=None):
    """Natural log probabilities of ids, and the parameters after them."""
    twin, static = twin_of(lm), {name: values.astype(float) for name, values in lm.params.items()}
    total = 0 if roots is None else sum(r.sum() for r in roots.values()) / sum(r.size for r in roots.values())
    state, last, scores = None, 0, []
    for start in range(0, ids.size, segment):
        words = ids[start : start + segment]
        inputs, targets = np.concatenate([[last], words[:-1]])[:, None], words[:, None]
        log_prob, _, after = twin.forward(inputs, targets, state)
        scores.append(log_prob[:, 0])
        if words.size == segment:
            gradients = twin.gradients(inputs, targets, state)
            for name, values in twin.p.items():
                ascent, pull = -gradients[name], static[name] - values
                if roots is None:
                    step = alpha * ascent + decay * pull
                else:
                    most = 1 / decay if decay else 0
                    step = alpha * ascent / (roots[name] + 1e-8) + decay * np.minimum(roots[name] / total, most) * pull
                rows = name == "E" and not lm.config.tied  # of which only those that were read move
                moved = np.isin(np.arange(len(values)), inputs[inputs >= 0]) if rows else slice(None)
                values[moved] += step[moved]
        state, last = after, words[-1]
    return np.concatenate(scores), twin.p


@pytest.mark.parametrize("name", ["lstm, 2 layers", "lstm, tied", "elman"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_stack_learns_segment_by_segment(name, decay, scaled):
    lm, ids = model_of(name), text(33, seed=3)
    roots = root_mean_squares(lm, text(200, seed=4)) if scaled else None
    dynamic = DynamicLM(lm, 0.05, bptt_block=5, decay=decay, roots=roots)
    scored, end = dynamic.score_ids(ids, dynamic.start())
    log_prob, params = by_definition(lm, ids, 0.05, 5, decay, roots)
    known = ids >= 0
    np.testing.assert_allclose(scored.log10_prob[known] * np.log(10), log_prob[known], rtol=1e-8)
    for each, values in dynamic.learnt(end).params.items():
        np.testing.assert_allclose(values, params[each], rtol=1e-7, atol=1e-10, err_msg=each)


PADDED = {
    "classes": {"classes": 4},
    "compression": {"classes": 1, "compression": 5},
    "both, and direct connections": {"classes": 4, "compression": 5, "direct": 200, "direct_order": 2},
}


def stack_with(output: dict, seed: int = 1) -> RecurrentLM:
    """A model whose output layer has rows that are padded in memory."""
    vocab = small_vocab(17, np.arange(40, 23, -1))
    config = ModelConfig(hidden=6, cell="lstm", embedding=3, dtype="float64", **output)
    rng = np.random.default_rng(seed)
    params = {name: rng.normal(0, 0.4, shape) for name, shape in parameter_shapes(config, len(vocab)).items()}
    return RecurrentLM.create(config, vocab, params)


def cut(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Without padding."""
    return values.reshape(-1) if like.ndim == 1 else values[tuple(slice(n) for n in like.shape)]


@pytest.mark.parametrize("name", PADDED)
@pytest.mark.parametrize("scaled", [False, True])
def test_rows_that_are_padded_in_memory_learn_as_others(name, scaled):
    lm, ids, alpha, decay = stack_with(PADDED[name]), np.array([3, 7, 0, 15, 2, 7, 1, 9, 4, 3], np.int32), 0.1, 0.2
    roots = root_mean_squares(lm, np.arange(210, dtype=np.int32) % 17) if scaled else None
    dynamic = DynamicLM(lm, alpha, bptt_block=5, decay=decay, roots=roots)
    learnt = dynamic.learnt(dynamic.score_ids(ids, dynamic.start())[1]).params

    static, twin = lm.params, stack_with(PADDED[name])
    engine = engine_for(twin, batch_size=1, bptt=5)
    if scaled:
        own = {name: cut(roots[name], p) for name, p in static.items() if name in roots}
        mean = sum(r.sum() for r in own.values()) / sum(r.size for r in own.values())
    for start in (0, 5):
        engine.differentiate(ids[None, start : start + 5])
        for parameter, gradient in engine.gradients.items():
            values = twin.params[parameter]
            g, pull = cut(gradient_in_full(gradient), values), static[parameter] - values
            if scaled:
                r = own[parameter]
                step = alpha * g / (r + 1e-8) + decay * np.minimum(r / mean, 1 / decay) * pull
            else:
                step = alpha * g + decay * pull
            if isinstance(gradient, Rows):  # rows without a gradient stay
                moved = np.unique(gradient.ids)
                values[moved] += step[moved]
            else:
                values += step
        twin.weights_have_changed()
    for parameter, values in stack_with(PADDED[name]).params.items():
        np.testing.assert_array_equal(lm.params[parameter], values, err_msg=parameter)  # the given model stays
    for parameter, values in twin.params.items():
        np.testing.assert_allclose(learnt[parameter], values, rtol=1e-9, atol=1e-12, err_msg=parameter)


def test_a_text_may_come_in_pieces_that_cut_segments():
    lm, ids = model_of("lstm", dtype="float32"), text(33)
    dynamic = DynamicLM(lm, 0.1)
    whole, _ = dynamic.score_ids(ids, dynamic.start())
    state, parts = dynamic.start(), []
    for part in np.split(ids, [1, 2, 8, 20]):
        scored, state = dynamic.score_ids(part, state)
        parts.append(scored.log10_prob)
    assert np.concatenate(parts).tobytes() == whole.log10_prob.tobytes()
    again, _ = dynamic.score_ids(ids[:4], state)  # a state can be gone on from twice
    once_more, _ = dynamic.score_ids(ids[:4], state)
    np.testing.assert_array_equal(again.log10_prob, once_more.log10_prob)
    assert dynamic.distribution(state).sum() == pytest.approx(1)
    assert dynamic.hidden_states(ids[:3], state).shape == (3, 1, 6)


def test_a_rate_with_which_words_become_impossible_is_refused():
    dynamic = DynamicLM(model_of("lstm, 2 layers", dtype="float32"), 1e5)  # scores of 1e5 and more, and none infinite
    with pytest.raises(CorpusError, match=r"diverged at word \d+: lower `dynamic` \(100000\)"):
        dynamic.score_ids(text(200), dynamic.start())


def test_the_roots_are_those_of_the_mean_squared_gradient():
    lm, ids = model_of("lstm", dtype="float64"), text(2 * 35 * 4)
    roots = root_mean_squares(lm, ids)
    streams = ids.size // 35
    engine, squares = engine_for(lm, batch_size=streams, bptt=35), {}
    engine.differentiate(engine.take(ids, 0)[0])
    for name, gradient in engine.gradients.items():
        squares[name] = gradient_in_full(gradient) ** 2
    for name, values in roots.items():
        np.testing.assert_allclose(values, np.sqrt(squares[name]), rtol=1e-12, err_msg=name)
    assert streams != B


def test_what_a_plain_network_lacks_is_refused():
    from tests.small_models import small_model

    with pytest.raises(CorpusError, match="`dynamic_decay`, `dynamic_rms`: only for networks"):
        learning(small_model(), 0.1, decay=0.1)
