"""Epochs, the learning-rate schedule, what is kept, interruptions and divergence."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from corpora.errors import CorpusError
from rnnlm.arrays import CONTEXT_START, DEPTH, FILLED, LAST_WORD, POSITION, Shape, State, restore
from rnnlm.config import ModelConfig, TrainConfig
from rnnlm.engines import online
from rnnlm.engines.exact import Exact
from rnnlm.trainer import Diverged, Trainer
from tests.reference.online import Online
from tests.small_models import small_model, small_text


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    monkeypatch.setattr(online, "CHUNK", 50)


def make_trainer(lm=None, n_train=230, n_valid=90, config=None, oov=False, **callbacks):
    """A run of a small model on 230 random words: five chunks, the last one shorter."""
    valid = small_text(n_valid, seed=8, oov=oov) if n_valid else None
    return Trainer(
        lm or small_model(), config or TrainConfig(), small_text(n_train, seed=7, oov=oov), valid, **callbacks
    )


def fit(trainer):
    return list(trainer.fit())


def with_validation(monkeypatch, trainer, log10_probs):
    """The trainer, but its validation text's log10 probability is said to be the next of these after each epoch."""
    script = iter(log10_probs)
    real = trainer.validate
    monkeypatch.setattr(trainer, "validate", lambda: (next(script), 100, real()[2]))
    return trainer


# ---- the schedule


def test_alpha_is_halved_from_the_first_small_gain_and_the_second_ends_the_run(monkeypatch):
    # -900 after -1000 gains more than 1.003 asks for: -900 x 1.003 = -902.7 is above -1000.
    # -899 does not (-901.7 < -900): from here on every epoch halves.  -880 gains enough, -879 does not: the end.
    trainer = with_validation(monkeypatch, make_trainer(), [-1000, -900, -899, -880, -879])
    reports = fit(trainer)
    assert [r.alpha for r in reports] == [0.1, 0.1, 0.1, 0.05, 0.025]
    assert [r.epoch for r in reports] == [0, 1, 2, 3, 4]
    assert trainer.progress.finished


def test_a_loss_counts_as_a_small_gain(monkeypatch):
    reports = fit(with_validation(monkeypatch, make_trainer(), [-1000, -1100, -900, -950]))
    assert [r.alpha for r in reports] == [0.1, 0.1, 0.05, 0.025]
    assert [r.kept for r in reports] == [True, False, True, False]


def test_the_run_ends_after_max_epochs(monkeypatch):
    trainer = make_trainer(config=TrainConfig(max_epochs=3))
    reports = fit(with_validation(monkeypatch, trainer, [-1000 * 0.5**n for n in range(9)]))
    assert [r.alpha for r in reports] == [0.1, 0.1, 0.1]
    assert not trainer.progress.finished


def test_without_a_validation_text_alpha_stays_and_every_epoch_is_kept():
    kept = []
    reports = fit(make_trainer(n_valid=0, config=TrainConfig(max_epochs=4), keep=lambda: kept.append(1)))
    assert [r.alpha for r in reports] == [0.1] * 4
    assert all(r.kept and r.valid_entropy is None and r.valid_perplexity is None for r in reports)
    assert len(kept) == 4


def test_entropy_and_perplexity_of_the_validation_text_are_those_of_the_log10_probability(monkeypatch):
    # log10 P = -100 over 100 words: log2(10) bits each, perplexity 10
    report = fit(with_validation(monkeypatch, make_trainer(config=TrainConfig(max_epochs=1)), [-100]))[0]
    assert report.valid_entropy == pytest.approx(np.log2(10))
    assert report.valid_perplexity == pytest.approx(10)


def test_a_report_says_what_the_epoch_was():
    trainer = make_trainer(config=TrainConfig(max_epochs=1))
    report = fit(trainer)[0]
    assert report.words == 230
    assert report.seconds > 0
    assert report.words_per_second == pytest.approx(230 / report.seconds)
    assert trainer.model.history == [report.to_dict()]


def test_the_training_entropy_is_the_mean_over_known_words_while_they_were_learnt():
    lm = small_model()
    params = {name: values.copy() for name, values in lm.params.items()}
    trainer = make_trainer(lm, config=TrainConfig(max_epochs=1), oov=True)
    report = fit(trainer)[0]
    twin = Online(params, lm.class_of_word)
    log_probs = np.array([twin.learn(int(word)) for word in trainer.train])
    known = trainer.train >= 0
    assert report.train_entropy == pytest.approx(-log_probs[known].mean() / np.log(2), abs=1e-10)


def test_in_compatible_mode_the_end_of_the_file_counts_as_a_word():
    lm = small_model(dtype="float64")
    plain = fit(make_trainer(copy.deepcopy(lm), config=TrainConfig(max_epochs=1)))[0]
    compatible = fit(make_trainer(lm, config=TrainConfig(max_epochs=1, compatible=True)))[0]
    assert compatible.train_entropy == pytest.approx(plain.train_entropy * 230 / 231, abs=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("compatible", [False, True])
def test_the_exact_kernel_is_for_compatible_runs_in_float64(dtype, compatible):
    trainer = make_trainer(small_model(dtype=dtype), config=TrainConfig(compatible=compatible))
    assert isinstance(trainer.engine, Exact) == (compatible and dtype == "float64")


def test_a_text_that_repeats_itself_is_learnt():
    lm = small_model(hidden=20, scale=1.0)
    words = np.tile(np.array([3, 1, 4, 1, 5, 9, 2, 6, 0], np.int32), 40)
    reports = fit(Trainer(lm, TrainConfig(max_epochs=30, min_improvement=1.0), words, words[:90]))
    assert reports[0].valid_perplexity > 3
    assert reports[-1].valid_perplexity < 1.1


# ---- what is kept


def weights_of(lm):
    return {name: values.copy() for name, values in lm.params.items()}


def assert_same_weights(mine, theirs):
    for name, values in mine.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)


def test_a_worse_epoch_goes_back_to_the_best_weights(monkeypatch):
    trainer = with_validation(monkeypatch, make_trainer(), [-1000, -1100, -900, -950])
    after = [weights_of(trainer.model) for _ in trainer.fit()]
    assert_same_weights(after[1], after[0])
    assert_same_weights(after[3], after[2])
    assert np.abs(after[2]["W"] - after[0]["W"]).max() > 0
    assert_same_weights(weights_of(trainer.model), after[2])  # the best epoch's at the end


def test_only_a_best_epoch_is_kept_not_one_that_is_better_than_the_last(monkeypatch):
    # 0.4b compares with the epoch before
    for compatible, kept in ((False, [True, False, False]), (True, [True, False, True])):
        trainer = make_trainer(config=TrainConfig(compatible=compatible, max_epochs=3))
        assert [r.kept for r in fit(with_validation(monkeypatch, trainer, [-1000, -1100, -1050]))] == kept


def test_0_4b_does_not_bring_back_the_direct_connections(monkeypatch):
    for compatible in (False, True):
        lm = small_model(direct=60)
        trainer = with_validation(
            monkeypatch, make_trainer(lm, config=TrainConfig(compatible=compatible)), [-1000, -1100, -1200]
        )
        after = [weights_of(lm) for _ in trainer.fit()]
        np.testing.assert_array_equal(after[1]["O"], after[0]["O"])
        assert (after[1]["D"] == after[0]["D"]).all() != compatible


def test_whoever_keeps_elsewhere_is_asked_to_keep_and_to_recall(monkeypatch):
    asked = []
    trainer = make_trainer(keep=lambda: asked.append("keep"), recall=lambda: asked.append("recall"))
    fit(with_validation(monkeypatch, trainer, [-1000, -1100, -900, -950]))
    assert asked == ["keep", "recall", "keep", "recall"]


# ---- interruptions


def test_on_chunk_is_called_before_each_chunk_and_at_the_end_of_the_epoch():
    positions = []
    trainer = make_trainer(
        config=TrainConfig(max_epochs=2), on_chunk=lambda t: positions.append((t.progress.epoch, t.progress.position))
    )
    fit(trainer)
    assert positions == [(epoch, at) for epoch in range(2) for at in (0, 50, 100, 150, 200, 230)]


@pytest.mark.parametrize("compatible", [False, True])
def test_of_a_large_network_on_chunk_is_called_more_often_and_nothing_else_changes(monkeypatch, compatible):
    config = TrainConfig(max_epochs=2, bptt_block=5, compatible=compatible)
    whole = make_trainer(config=config)
    fit(whole)
    monkeypatch.setattr(online, "_MOST_WORK", 2000.0)  # H = 5, C = 4: some 235 multiplications a word
    positions = []
    trainer = make_trainer(config=config, on_chunk=lambda t: positions.append(t.progress.position))
    fit(trainer)
    step = 1 if compatible else 5  # 0.4b's order of operations is slower
    assert positions == [*range(0, 230 + step, step)] * 2
    states = (trainer.engine.arrays, whole.engine.arrays)
    for name, mine, theirs in zip(State._fields, *states, strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    assert_same_weights(weights_of(trainer.model), weights_of(whole.model))


class Stopped(Exception):
    pass


class Piece:
    """A run until it is stopped or ends, from the beginning or from what another piece saved."""

    def __init__(self, lm, config, saved, on_chunk):
        self.best = saved and saved["best"]
        self.trainer = make_trainer(
            lm, config=config, oov=True, on_chunk=on_chunk, keep=self.keep, recall=lambda: lm.weights.assign(self.best)
        )
        if saved:
            lm.weights.assign(saved["weights"])
            lm.start_hidden, lm.history = saved["start_hidden"], saved["history"]
            self.trainer.engine.restore(saved["state"])
            self.trainer.progress = saved["progress"]

    def keep(self):
        self.best = self.trainer.model.weights.copy()

    def save(self):
        """All that a checkpoint holds."""
        model = self.trainer.model
        return {
            "weights": model.weights.copy(),
            "best": self.best,
            "start_hidden": model.start_hidden.copy(),
            "history": copy.deepcopy(model.history),
            "state": {name: array.copy() for name, array in self.trainer.engine.state().items()},
            "progress": replace(self.trainer.progress),
        }


def run_in_pieces(make_model, config, stops):
    """The trainer at the end of a run that was stopped at these calls of on_chunk and went on in a new trainer."""
    stops, calls, saved = set(stops), 0, None

    def on_chunk(trainer):
        nonlocal calls
        calls += 1
        if calls in stops:
            stops.remove(calls)
            calls -= 1  # the next piece asks again at the same place
            raise Stopped

    while True:
        piece = Piece(make_model(), config, saved, on_chunk)
        try:
            fit(piece.trainer)
            return piece.trainer
        except Stopped:
            saved = piece.save()


def facts(report: dict) -> dict:
    return {name: value for name, value in report.items() if name not in ("seconds", "words_per_second")}


@pytest.mark.parametrize(
    ("model", "compatible"),
    [({"independent": True}, False), ({"direct": 60, "classes": 1}, False), ({}, True)],
    ids=["independent", "direct", "exact"],
)
def test_a_run_that_was_interrupted_ends_bit_for_bit_as_one_that_was_not(model, compatible):
    config = TrainConfig(alpha=0.5, max_epochs=5, bptt=3, bptt_block=7, compatible=compatible)

    def make_model():
        return small_model(**model)

    whole = run_in_pieces(make_model, config, [])
    assert len(whole.model.history) > 2
    # before the first word, inside an epoch, between the last word and the validation, and everywhere
    for stops in ([1], [3], [6], [7, 8, 9], range(1, 13)):
        pieces = run_in_pieces(make_model, config, stops)
        for name in whole.model.weights._fields:
            mine, theirs = getattr(pieces.model.weights, name), getattr(whole.model.weights, name)
            np.testing.assert_array_equal(mine, theirs, err_msg=f"{name}, stopped at {stops}")
        np.testing.assert_array_equal(pieces.model.start_hidden, whole.model.start_hidden)
        assert [facts(r) for r in pieces.model.history] == [facts(r) for r in whole.model.history]
        assert replace(pieces.progress, seconds=0) == replace(whole.progress, seconds=0)


# ---- divergence


def test_a_number_that_is_not_finite_ends_the_run_with_a_line_on_what_to_lower():
    lm = small_model()
    trainer = make_trainer(lm)
    lm.weights.O[4, 0] = np.nan
    with pytest.raises(Diverged) as caught:
        fit(trainer)
    message = str(caught.value)
    assert "epoch 0" in message
    assert "`alpha` (0.1)" in message
    assert "`gradient_cutoff`" in message
    assert "\n" not in message
    assert isinstance(caught.value, CorpusError)
    assert trainer.progress.position == 0  # the chunk does not count


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("classes", [1, 4])
def test_steps_that_are_far_too_long_are_noticed(dtype, activation, classes):
    lm = small_model(dtype=dtype, activation=activation, classes=classes)
    with pytest.raises(Diverged), np.errstate(all="ignore"):
        fit(make_trainer(lm, config=TrainConfig(alpha=1e30, gradient_cutoff=0)))


def test_a_perplexity_that_no_number_can_hold_ends_the_run(monkeypatch):
    trainer = with_validation(monkeypatch, make_trainer(), [-50_000])  # 500 decimal digits a word
    with pytest.raises(
        Diverged, match=r"diverged in epoch 0 \(the validation text has 1661 bits a word\): lower `alpha`"
    ):
        fit(trainer)


@pytest.mark.parametrize("what", [np.nan, np.inf, -np.inf])
def test_a_validation_text_without_a_finite_probability_ends_the_run(what, monkeypatch):
    with pytest.raises(Diverged, match="`alpha`"):
        fit(with_validation(monkeypatch, make_trainer(), [what]))


# ---- validation


@pytest.mark.parametrize("compatible", [False, True])
def test_the_validation_text_is_scored_from_a_fresh_state_and_its_unknown_words_do_not_count(compatible):
    trainer = make_trainer(config=TrainConfig(compatible=compatible), oov=True)
    trainer.learn(trainer.train[:100])
    log10_prob, n, _ = trainer.validate()
    lm = trainer.model
    scored, _ = lm.score_ids(trainer.valid, lm.state_from(CONTEXT_START))
    known = trainer.valid >= 0
    assert n == known.sum() < trainer.valid.size
    assert log10_prob == pytest.approx(scored.log10_prob[known].sum(), rel=1e-12)


def test_validation_does_not_touch_what_learning_needs():
    one, two = make_trainer(), make_trainer()
    for trainer in (one, two):
        trainer.learn(trainer.train[:100])
    one.validate()
    for trainer in (one, two):
        trainer.learn(trainer.train[100:])
    arrays = [(*trainer.model.weights, *trainer.engine.arrays) for trainer in (one, two)]
    for a, b in zip(*arrays, strict=True):
        np.testing.assert_array_equal(a, b)


def test_state_of_a_machine_with_wider_vectors_is_taken_over():
    config = ModelConfig(hidden=5, classes=2)
    shape = Shape.of(config, np.array([0, 2, 6]), bptt=2, block=3)
    state = State.create(shape, np.float32)
    rng = np.random.default_rng(1)
    saved = {name: np.array(array) for name, array in state._asdict().items()}
    for name in ("hidden", "error", "previous"):  # the same rows, padded to 32
        saved[name] = np.zeros((*saved[name].shape[:-1], 32), np.float32)
        saved[name][..., :5] = rng.normal(size=saved[name][..., :5].shape)
    restore(state, saved, shape)
    for name in ("hidden", "error", "previous"):
        array = getattr(state, name)
        assert (array[..., :5] == saved[name][..., :5]).all()
        assert (array[..., 5:] == 0).all()


@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        *(("counters", FILLED, value) for value in (-1, 7, 1 << 40)),
        *(("counters", LAST_WORD, value) for value in (-2, 6, 1 << 40)),
        *(("counters", DEPTH, value) for value in (-1, 100)),
        ("counters", POSITION, -1),
        ("words", 2, 6),
        ("words", 0, -2),
        ("history", 0, 6),
        ("hidden", (0, 1), np.nan),
    ],
)
def test_state_that_kernels_could_not_follow_is_refused(name, where, value):
    shape = Shape.of(ModelConfig(hidden=5, classes=2), np.array([0, 2, 6]), bptt=0, block=3)
    state = State.create(shape, np.float32)
    saved = {key: np.array(array) for key, array in state._asdict().items()}
    restore(state, saved, shape)
    saved[name][where] = value
    with pytest.raises(ValueError, match=r"counters are|words from|NaN"):
        restore(state, saved, shape)
    with pytest.raises(ValueError, match=f"{name} is missing"):
        restore(state, {key: array for key, array in saved.items() if key != name}, shape)


def test_an_entropy_whose_perplexity_is_no_number_is_divergence():
    trainer = make_trainer()
    trainer.validate = lambda: (-400.0, 1, None)  # 2 to the power of its 1329 bits is beyond float64
    with pytest.raises(Diverged, match=r"training diverged in epoch 0 .*: lower `alpha`"):
        next(trainer.fit())


# ---- a given time


class Clock:
    """In place of the module ``time``: a chunk that is learnt takes 1 s, a validation 2 s."""

    def __init__(self, monkeypatch):
        self.now, self.learn, self.validate = 0.0, Trainer.learn, Trainer.validate
        monkeypatch.setattr("rnnlm.trainer.time", self)
        monkeypatch.setattr(Trainer, "learn", lambda *arguments: self.after(1.0, self.learn, arguments))
        monkeypatch.setattr(Trainer, "validate", lambda trainer: self.after(2.0, self.validate, (trainer,)))

    def perf_counter(self):
        return self.now

    def after(self, seconds, function, arguments):
        self.now += seconds
        return function(*arguments)


def test_training_ends_in_time_with_a_shorter_epoch(monkeypatch):
    # 5 chunks and the validation: 7 s.  3 more chunks and the validation of this epoch: 12 s
    clock = Clock(monkeypatch)
    trainer = make_trainer(seconds=12)
    reports = fit(trainer)
    assert [report.words for report in reports] == [230, 150]
    assert [report.seconds for report in reports] == [5, 3]
    assert clock.now == 12
    assert trainer.progress.finished


def test_no_epoch_begins_where_the_time_is_enough_for_nothing_but_a_validation(monkeypatch):
    Clock(monkeypatch)
    assert [report.words for report in fit(make_trainer(seconds=9))] == [230]


def test_more_time_than_the_epochs_take_changes_nothing(monkeypatch):
    Clock(monkeypatch)
    assert len(fit(make_trainer(seconds=1e6, config=TrainConfig(max_epochs=3)))) == 3


@pytest.mark.parametrize("times", [{"seconds": 0.001}, {"seconds": 100, "gone": 101}])
def test_one_chunk_is_learnt_where_no_time_is_left(monkeypatch, times):
    Clock(monkeypatch)
    trainer = make_trainer(**times)
    before = trainer.model.params["U"].copy()
    assert [report.words for report in fit(trainer)] == [50]
    assert not np.array_equal(trainer.model.params["U"], before)


def test_seconds_before_the_training_count(monkeypatch):
    Clock(monkeypatch)
    trainer = make_trainer(seconds=112, gone=100)
    assert [report.words for report in fit(trainer)] == [230, 150]
    assert trainer.spent == 112


def test_the_best_epoch_comes_back_when_the_time_is_over(monkeypatch):
    Clock(monkeypatch)
    trainer = with_validation(monkeypatch, make_trainer(seconds=12), [-500, -600])
    epochs = trainer.fit()
    assert next(epochs).kept
    best = {name: values.copy() for name, values in trainer.model.params.items()}
    last = next(epochs)
    assert (last.words, last.kept) == (150, False)
    assert next(epochs, None) is None
    for name, values in trainer.model.params.items():
        np.testing.assert_array_equal(values, best[name], err_msg=name)


def test_the_time_before_an_interruption_counts(monkeypatch):
    clock = Clock(monkeypatch)
    first = make_trainer(seconds=12, gone=1)
    epochs = first.fit()
    next(epochs)
    clock.now += 0.5  # the report is written
    progress = replace(first.progress, spent=first.spent)
    assert progress.spent == 8.5  # 1 + 5 chunks, 2 of validation
    second = make_trainer(seconds=12, gone=0.25, recall=lambda: None)
    second.restore({name: np.array(values) for name, values in first.state().items()}, progress)
    # 8.75 s are gone; the length of a validation is not known
    assert [report.words for report in fit(second)] == [200]
    assert second.spent == pytest.approx(8.75 + 4 + 2)


@pytest.mark.parametrize("spent", [-1.0, np.inf])
def test_a_time_that_cannot_have_been_is_refused(spent):
    trainer = make_trainer()
    with pytest.raises(ValueError, match="spent"):
        trainer.restore(trainer.state(), replace(trainer.progress, spent=spent))
