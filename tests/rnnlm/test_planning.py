"""Plans for a given time, on a machine whose speed is made up."""

from __future__ import annotations

import numpy as np
import pytest

from corpora.jobs.run import KERNELS
from rnnlm import planning
from rnnlm.config import ModelConfig, TrainConfig
from rnnlm.data import Texts
from rnnlm.memory import needed
from rnnlm.planning import SPARE, Plan, seconds_of, shown, usual_epochs
from tests.small_models import small_vocab

PER_WEIGHT = 1e-9  # seconds that a weight takes for a word of training, on this machine
MANY = 5000  # words of a vocabulary that is not scored as a whole


class Clock:
    """Time goes on when something is measured."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def plan_of(seconds, n_train=200_000, n_vocab=50, measuring=0.0, faster_when_drawn=4.0, **given) -> Plan:
    """A plan where a word takes the square of the width, a quarter of it with drawn words; validation takes 1 s."""
    words = np.zeros(n_train, np.int32)
    clock = Clock()
    plan = Plan(Texts(small_vocab(n_vocab), words, words[:1000], 0, []), given, seconds, 1, clock)

    def measure(config, training):
        clock.now += measuring
        full = PER_WEIGHT * config.hidden**2
        return (full if training.loss == "full" else full / faster_when_drawn), full, 1.0

    plan._measure = measure
    return plan


def seconds_by_hand(model, training, n_train=200_000):
    """What these configurations take on that machine."""
    full = PER_WEIGHT * model.hidden**2
    n_full = training.max_epochs if training.loss == "full" else training.full_epochs
    return n_train * full * (n_full + (training.max_epochs - n_full) / 4) + training.max_epochs


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600), ("1h30m", 5400), ("1h30m20s", 5420), ("0.5h", 1800)],
)
def test_times_are_read_as_they_are_typed(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0h", "x", "1d", "-5", "1m1h", "1h x", "nan", "inf", "1 h"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="expected a time such as 90s, 30m or 1h30m"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (5, "5 s"), (60, "1 min"), (5420.4, "1 h 30 min 20 s"), (7200, "2 h")]
)
def test_times_are_shown_in_units_that_are_not_zero(seconds, text):
    assert shown(seconds) == text


def test_four_times_as_many_words_are_worth_half_as_many_epochs():
    # 20 for a million; at most 60, at least 1
    assert [usual_epochs(n) for n in (1_000_000, 4_000_000, 16_000_000)] == [20, 10, 5]
    assert (usual_epochs(0), usual_epochs(100), usual_epochs(10**12)) == (60, 60, 1)


def test_the_width_grows_with_the_time_and_uses_it():
    # 200,000 words, 45 epochs: 9e6 words; a width of 16 more would not fit
    widths = []
    for seconds in (120, 600, 3600):
        model, training = plan_of(seconds).find()
        assert training.max_epochs == usual_epochs(200_000) == 45
        left = (1 - SPARE) * seconds
        assert seconds_by_hand(model, training) <= left
        assert 200_000 * 45 * PER_WEIGHT * (model.hidden + 16) ** 2 + 45 > left
        widths.append(model.hidden)
    assert widths == sorted(set(widths))
    assert all(width % 16 == 0 for width in widths)


def test_what_a_plan_foresees_is_what_its_configurations_take():
    for n_vocab in (50, MANY):
        plan = plan_of(900, n_vocab=n_vocab)
        configs = plan.find()
        assert plan.foreseen() == pytest.approx(seconds_by_hand(*configs))


def test_where_the_widest_network_fits_there_are_more_epochs():
    # 4 million words: 10 epochs of 2048 units take 4e6 * 2048^2 * 1e-9 = 16,777 s each; so 58 fit into 1e6 s
    model, training = plan_of(1e6, n_train=4_000_000).find()
    assert (model.hidden, training.max_epochs) == (2048, 57)
    assert 57 * 16_778.2 <= 0.97e6 < 58 * 16_778.2


def test_a_given_width_has_as_many_epochs_as_fit():
    # an epoch: 200,000 * 300^2 * 1e-9 + 1 = 19 s; 0.97 * 200 = 194 s
    model, training = plan_of(200, hidden=300).find()
    assert (model.hidden, training.max_epochs) == (300, 10)
    assert plan_of(200, hidden=300, max_epochs=25).find()[1].max_epochs == 25


def test_what_is_given_is_kept():
    given = {
        "cell": "gru", "layers": 2, "embedding": 24, "max_epochs": 7, "dropout": 0.3, "optimizer": "sgd", "alpha": 0.7,
        "schedule": "linear", "batch_size": 9, "dtype": "float64",
    }  # fmt: skip
    model, training = plan_of(600, **given).find()
    found = vars(model) | vars(training)
    assert {name: found[name] for name in given} == given
    assert not model.tied  # of an embedding of its own


def test_many_words_are_drawn_at_first_and_scored_all_in_the_end():
    model, training = plan_of(900, n_vocab=MANY).find()
    assert (training.loss, training.samples, training.full_epochs) == ("sampled", 1024, 8)  # a sixth of 45
    assert model.tied
    assert plan_of(900, n_vocab=50).find()[1].loss == "full"


@pytest.mark.parametrize(
    "given",
    [
        {"max_epochs": 1}, {"loss": "full"}, {"full_epochs": 4}, {"full_epochs": 4, "hidden": 64}, {"average": 5},
        {"average": 5, "hidden": 2048}, {"loss": "nce"}, {"cell": "jordan"}, {"classes": 70, "cell": "elman"},
        {"output_layer": "hierarchical"}, {"compression": 20, "cell": "elman"}, {"schedule": "halving"},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_speak_of_epochs_and_words_make_valid_plans(given):
    for seconds in (3, 300):
        model, training = plan_of(seconds, n_vocab=MANY, **given).find()
        found = vars(model) | vars(training)
        assert {name: found[name] for name in given} == given


@pytest.mark.parametrize("measuring", [0.0, 10.0])
@pytest.mark.parametrize("n_vocab", [50, MANY])
def test_too_little_time_is_one_epoch_of_a_narrow_network(n_vocab, measuring):
    # of 1 s; with ``measuring``, the first measurement takes longer than that
    model, training = plan_of(1, n_train=10**7, n_vocab=n_vocab, measuring=measuring).find()
    assert (model.hidden, training.max_epochs, training.loss) == (32, 1, "full")
    assert plan_of(1, hidden=300, measuring=measuring).find()[1].max_epochs == 1


def test_a_network_is_no_wider_than_memory_allows(monkeypatch):
    free = 400 << 20
    monkeypatch.setattr(planning, "available_memory", lambda: free)
    plan = plan_of(1e6, n_train=4_000_000, n_vocab=MANY)
    model, training = plan.find()
    assert training.max_epochs > 10  # there is time for more
    assert needed(model, training, MANY).peak + KERNELS <= free
    assert needed(*plan._configs(model.hidden + 16, training.max_epochs), MANY).peak + KERNELS > free


def test_time_that_measuring_takes_is_not_there_for_training():
    quick, slow = (plan_of(600, measuring=seconds).find()[0].hidden for seconds in (0, 60))
    assert slow < quick


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"engine": "online", "cell": "elman"}, "`time`: only with `engine` minibatch"),
        ({"compatible": True}, "`compatible`: rnnlm 0.4b has no `time`"),
        ({"cell": "gru", "peephole": True}, "`peephole`"),
    ],
)
def test_what_no_plan_can_keep_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        plan_of(100, **given).find()


def test_rates_are_measured_with_the_network_and_change_no_text():
    train = (np.arange(3000) % 20).astype(np.int32)
    texts = Texts(small_vocab(20), train.copy(), train[:300].copy(), 0, [])
    plan = Plan(texts, {"hidden": 8, "batch_size": 4, "bptt": 5, "loss": "sampled", "samples": 4}, 5.0, 1)
    plan.measuring = 0.01
    model, training = plan.find()
    assert isinstance(model, ModelConfig)
    assert isinstance(training, TrainConfig)
    drawn, full, validation = plan.trials[8]
    assert min(drawn, full, validation) > 0
    assert plan.foreseen() > 0
    np.testing.assert_array_equal(texts.train, train)
