"""A plan for a given time: how wide a network, and how many epochs, from rates measured on this machine and text.

Narrow networks learn fast and soon no more; wide ones want more epochs than there is time for.  So the number of epochs
follows from the length of the text, and the width is the largest with which they fit into the time.  What is given is
kept: with ``hidden`` given, the epochs are as many as fit.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping

import numpy as np

from corpora.jobs.record import require
from corpora.jobs.run import KERNELS
from corpora.jobs.system import available_memory
from rnnlm.config import ModelConfig, TrainConfig, require_fit
from rnnlm.data import Texts
from rnnlm.defaults import filled_in
from rnnlm.memory import needed

SPARE = 0.03  # of the time, for what was not foreseen
_UNIT = 16  # widths are multiples of it
_NARROWEST, _WIDEST = 32, 2048
_MOST_EPOCHS = 60
_WORDS_OF_20_EPOCHS = 1e6  # four times as many words: half as many epochs
_MANY_WORDS = 4000  # of a vocabulary from which on words are drawn instead of scored all
_TRIALS = 8  # widths that are measured, at most
_SHARE, _SHORTEST, _LONGEST = 0.002, 0.5, 10.0  # of the time that a measurement takes; seconds

_PART = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def seconds_of(text: str) -> float:
    """A time as it is typed: 90 (seconds), 90s, 30m, 1h, 1h30m.  ValueError for anything else, and for 0."""
    found = _PART.fullmatch(text)
    total = (
        sum(float(n) * unit for n, unit in zip(found.groups(default="0"), (3600, 60, 1), strict=True)) if found else 0
    )
    if not total > 0:
        raise ValueError(f"{text}: expected a time such as 90s, 30m or 1h30m")
    return total


def shown(seconds: float) -> str:
    """The time for reading."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if n]
    return " ".join(parts) or "0 s"


def usual_epochs(n_words: int) -> int:
    """How many epochs a text of this length is worth."""
    return int(min(_MOST_EPOCHS, max(1, round(20 * math.sqrt(_WORDS_OF_20_EPOCHS / max(1, n_words))))))


def least_epochs(given: Mapping[str, object]) -> int:
    """How many epochs the given settings take: one that learns from drawn words, and those that they speak of."""
    return max(1, int(given.get("full_epochs") or 0) + 1, int(given.get("average") or 0))


def with_width(given: Mapping[str, object], hidden: int, epochs: int, n_vocab: int) -> tuple[ModelConfig, TrainConfig]:
    """The configurations of a network this wide for this number of epochs, where ``given`` does not say otherwise."""
    cell = given.get("cell") or "lstm"
    epochs = int(given.get("max_epochs") or max(epochs, least_epochs(given)))
    dropout = 0.5 if epochs >= 12 else 0.4 if epochs >= 7 else 0.25 if epochs >= 3 else 0.1
    chosen: dict[str, object] = {
        "cell": cell,
        "hidden": hidden,
        "engine": "minibatch",
        "schedule": "cosine",
        "max_epochs": epochs,
    }
    if cell != "jordan":  # which has none
        chosen["dropout"] = dropout if hidden >= 200 else round(0.6 * dropout, 3)
    is_own_output = any(given.get(name) for name in ("embedding", "classes", "compression", "direct", "output_layer"))
    if cell != "jordan" and not is_own_output:
        chosen["tied"] = True
        if n_vocab >= _MANY_WORDS and epochs > 1 and given.get("loss") != "full":
            chosen |= {"loss": "sampled", "samples": min(1024, n_vocab // 4), "full_epochs": max(1, round(epochs / 6))}
    return filled_in(chosen | {name: value for name, value in given.items() if value is not None})


class Plan:
    """Finds the configurations for ``seconds``, of which some are gone already.

    ``given``: settings by name, as for ``defaults.filled_in``.  ValueError for those that do not go together, or with
    a plan.  Where too little time is left, it is one epoch of the narrowest network, which ``Trainer`` ends in time.
    """

    def __init__(
        self, texts: Texts, given: Mapping[str, object], seconds: float, threads: int,
        clock: Callable[[], float] = time.perf_counter,
    ):  # fmt: skip
        self.texts, self.given, self.seconds, self.threads, self.clock = texts, given, seconds, threads, clock
        require(given.get("engine") in (None, "minibatch"), "`time`: only with `engine` minibatch")
        require(not given.get("compatible"), "`compatible`: rnnlm 0.4b has no `time`")
        self.trials: dict[int, tuple[float, float, float]] = {}  # by width: seconds a word, drawn and full; to validate
        self.measuring = min(_LONGEST, max(_SHORTEST, _SHARE * seconds))

    def find(self) -> tuple[ModelConfig, TrainConfig]:
        """The configurations; what they are expected to take is ``foreseen``."""
        began = self.clock()
        n = self.texts.train.size
        epochs = self.given.get("max_epochs") or max(usual_epochs(n), least_epochs(self.given))
        if self.given.get("hidden"):
            width = int(self.given["hidden"])
            if not self.given.get("max_epochs"):
                epochs = self._epochs_that_fit(width, began)
        else:
            width, epochs = self._width_that_fits(int(epochs), began)
        self.width, self.epochs = width, int(epochs)
        return self._configs(width, self.epochs)

    def foreseen(self) -> float:
        """Seconds that the plan takes, from now on."""
        return self._needs(self.width, self.epochs)

    def _left(self, began: float) -> float:
        return (1 - SPARE) * self.seconds - (self.clock() - began)

    def _configs(self, width: int, epochs: int) -> tuple[ModelConfig, TrainConfig]:
        return with_width(self.given, width, epochs, len(self.texts.vocab))

    def _epochs_that_fit(self, width: int, began: float) -> int:
        fitting = 1
        for epochs in range(1, _MOST_EPOCHS + 1):
            if self._needs(width, epochs) > self._left(began):
                break
            fitting = epochs
        return fitting

    def _width_that_fits(self, epochs: int, began: float) -> tuple[int, int]:
        """Between a width that fits and one that does not, by what was measured; fewer epochs where none fits."""
        while epochs > 1 and not self.given.get("max_epochs") and self._needs(_NARROWEST, epochs) > self._left(began):
            epochs -= 1
        widest = self._widest(epochs)
        fits, fails, width = _NARROWEST, widest + _UNIT, min(256, widest)
        for _ in range(_TRIALS):
            if fails - fits <= _UNIT or self._left(began) <= 0:
                break
            needs = self._needs(width, epochs)
            left = self._left(began)
            if needs <= left:
                fits = width
            else:
                fails = width
            # the time grows with the width, at first slower than it, in the end with its square
            guess = int(width * (max(0.0, left) / needs) ** 0.6) // _UNIT * _UNIT
            width = min(fails - _UNIT, max(fits + _UNIT, guess))
        if fits == widest and not self.given.get("max_epochs"):  # no wider network: more epochs of it
            epochs = max(epochs, self._epochs_that_fit(fits, began))
        return fits, epochs

    def _widest(self, epochs: int) -> int:
        """The widest network that is learnt in the memory that is free."""
        free = available_memory()
        if free is None:
            return _WIDEST
        widths = range(_NARROWEST, _WIDEST + 1, _UNIT)
        n_vocab = len(self.texts.vocab)
        room = [needed(*self._configs(width, epochs), n_vocab).peak + KERNELS <= free for width in widths]
        return max((width for width, has in zip(widths, room, strict=True) if has), default=_NARROWEST)

    def _needs(self, width: int, epochs: int) -> float:
        """Seconds for a number of epochs of a network."""
        drawn, full, validation = self._measured(width)
        _, training = self._configs(width, epochs)
        n, epochs = self.texts.train.size, training.max_epochs
        n_full = epochs if training.loss == "full" else training.full_epochs
        return n * (drawn * (epochs - n_full) + full * n_full) + validation * epochs

    def _measured(self, width: int) -> tuple[float, float, float]:
        if width not in self.trials:
            model, training = self._configs(width, 2)
            require_fit(model, training)
            self.trials[width] = self._measure(model, training)
        return self.trials[width]

    def _measure(self, config: ModelConfig, training: TrainConfig) -> tuple[float, float, float]:
        """Seconds a word of training, with drawn words and with all, and of the whole validation text."""
        from rnnlm.engines import engine_of
        from rnnlm.initial import initial_params
        from rnnlm.model import RecurrentLM

        params = initial_params(config, len(self.texts.vocab), np.random.default_rng(1), training.initialisation)
        model = RecurrentLM.create(config, self.texts.vocab, params)
        model.threads = min(2, self.threads)
        engine = engine_of(model, training, self.threads)
        rates = []
        for uses_all in (False, True) if training.loss != "full" else (True,):
            if training.loss != "full":
                engine.use_all_words(uses_all)
            rates.append(self._seconds_per_word(engine, training))
        valid = self.texts.valid
        part = valid[: 50 * training.bptt * training.batch_size]
        model.warm_up()
        began = self.clock()
        model.score_ids(part, model.start())
        validation = (self.clock() - began) * valid.size / max(1, part.size)
        return rates[0], rates[-1], validation

    def _seconds_per_word(self, engine, training: TrainConfig) -> float:
        B, T, train = training.batch_size, training.bptt, self.texts.train
        ids = np.resize(train, (B, T * max(1, train.size // (B * T)))).astype(np.int32)
        engine.learn_block(ids[:, :T], 0.0)  # compiled, and in the caches
        began, words, at = self.clock(), 0, 0
        while True:
            engine.learn_block(ids[:, at : at + T], 0.0)
            words, at = words + B * T, (at + T) % ids.shape[1]
            if (elapsed := self.clock() - began) >= self.measuring:
                return elapsed / words
