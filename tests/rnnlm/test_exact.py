"""learn_stream_exact against the twin in plain NumPy, and against the training logs of rnnlm 0.4b itself.

The logs in tests/golden/rnnlm were printed by release 0.4b; COMMANDS.txt there has the command lines.
"""

import re

import numpy as np
import pytest

from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer
from rnnlm.config import ACTIVATIONS, ModelConfig, TrainConfig
from rnnlm.initial import GlibcRandom, glibc_params
from rnnlm.model import RecurrentLM
from rnnlm.trainer import Trainer
from tests.small_models import Learner, small_model, small_text

OPTION_SETS = ["full", "classes", "oldclass", "sentence", "direct", "compress"]
QUICK = ["classes", "direct", "compress"]


def name_of(options: dict) -> str:
    return "-".join(f"{name}={value}" for name, value in options.items() if value)


# ---- against the twin


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"classes": 1},
        {"classes": 1, "direct": 60, "compression": 3},
        {"compression": 3, "independent": True},
        {"direct": 60, "direct_order": 5},
        {"hidden": 19, "scale": 1.0, "independent": True, "direct": 60},
    ],
    ids=name_of,
)
def test_the_exact_kernel_learns_as_the_twin(activation, config):
    from rnnlm.engines.exact_kernels import learn_stream_exact

    for schedule in ({"bptt": 4, "block": 10}, {"bptt": 0, "beta": 0.1}, {"bptt": 9, "block": 3, "cutoff": 0.02}):
        learner = Learner(small_model(activation=activation, **config), **schedule)
        for ids, cuts in [(small_text(47, oov=True), []), (small_text(33, seed=3), [1, 2, 12, 29])]:
            learner.start_text()
            mine, twins = learner.learn(ids, learn_stream_exact, cuts), learner.learn_by_twin(ids)
            np.testing.assert_allclose(mine, twins, rtol=1e-12, atol=1e-12)
        for name, values, twins in learner.parameters():
            np.testing.assert_allclose(values, twins, rtol=1e-12, atol=1e-12, err_msg=name)


# ---- against the program


def float32(x: float) -> float:
    """0.4b keeps its rates in float."""
    return float(np.float32(x))


def options_of(golden, name) -> list[str]:
    for line in (golden / "rnnlm" / "COMMANDS.txt").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split()
    raise KeyError(name)


def compatible_run(golden, name):
    """(alpha, train entropy, valid entropy) of every epoch as printed."""
    options = options_of(golden, name)

    def option(flag, otherwise):
        return int(options[options.index(flag) + 1]) if flag in options else otherwise

    whitespace = get_tokenizer()
    with encode([str(golden / "toy" / "train.txt")], whitespace, order="rnnlm") as train:
        valid = encode([str(golden / "toy" / "valid.txt")], whitespace, vocab=train.vocab, keep_oov=True)
        config = ModelConfig(
            hidden=option("-hidden", 30),
            classes=option("-class", 100),
            old_classes="-old-classes" in options,
            compression=option("-compression", 0),
            direct=option("-direct", 0) * 1_000_000,
            direct_order=option("-direct-order", 3),
            independent="-independent" in options,
            dtype="float64",
        )
        training = TrainConfig(
            alpha=float32(0.1),
            beta=float32(1e-7),
            bptt=option("-bptt", 0),
            bptt_block=option("-bptt-block", 10),
            min_improvement=float32(1.003),
            seed=option("-rand-seed", 1),
            compatible=True,
        )
        params = glibc_params(config, len(train.vocab), GlibcRandom(training.seed))
        lm = RecurrentLM.create(config, train.vocab, params)
        with valid:
            trainer = Trainer(lm, training, np.array(train.ids), np.array(valid.ids))
            return [(f"{r.alpha:f}", f"{r.train_entropy:.4f}", f"{r.valid_entropy:.4f}") for r in trainer.fit()]


def printed(golden, name):
    log = (golden / "rnnlm" / f"{name}.binary.log").read_text()
    return re.findall(r"Alpha: ([\d.]+).*?TRAIN entropy: ([\d.]+).*?VALID entropy: ([\d.]+)", log)


@pytest.mark.compiled
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in OPTION_SETS]
)
def test_every_epoch_is_what_0_4b_printed(golden, name):
    assert compatible_run(golden, name) == printed(golden, name)
