"""A trainer of word vectors that learns nothing of use, but in steps that a test can count.

It does what w2v.run relies on in ``w2v.trainer.Trainer``: a tick after every shard, at rest where a tick wants it, and
numbers that depend on the shard and on the learning rate, so that one that is left out, or done twice, is seen.
"""

import numpy as np

from w2v.trainer import EpochReport, Progress

SHARD = 200  # ids


class SmallTrainer:
    def __init__(self, config, matrices, ids, counts, *, threads, on_tick, at_rest):
        self.config, self.matrices, self.ids = config, matrices, ids
        self.on_tick, self.at_rest = on_tick, at_rest
        self.progress = Progress()
        self.total_words = int(np.count_nonzero(ids >= 0))
        self.words_per_second = 1.0

    def warm_up(self):
        return 0.0

    def can_go_on_from(self, progress):
        return True

    @property
    def alpha(self):
        return self.config.starting_alpha * (1 - self.progress.words / (self.total_words * self.config.iterations + 1))

    @property
    def loss(self):
        return self.progress.loss / self.progress.examples

    def fit(self):
        progress = self.progress
        while progress.epoch < self.config.iterations:
            while progress.shard * SHARD < self.ids.size:
                self._learn(self.ids[progress.shard * SHARD :][:SHARD])
                if self.on_tick(self):
                    self.at_rest(self)
            report = self._report()
            progress.epoch += 1
            progress.shard, progress.loss, progress.examples, progress.seconds = 0, 0.0, 0, 0.0
            yield report

    def _learn(self, ids):
        progress, words = self.progress, ids[ids >= 0]
        step = self.alpha * np.sin(words + progress.shard + progress.epoch)
        for values in (self.matrices.vectors(self.config.size), *self.matrices.state(self.config.size).values()):
            values[words] += step[:, None].astype(values.dtype)
        progress.loss += float(np.square(step).sum())
        progress.examples += words.size
        progress.words += words.size
        progress.shard += 1

    def _report(self):
        progress = self.progress
        return EpochReport(
            epoch=progress.epoch, alpha=self.alpha, loss=self.loss, examples=progress.examples,
            words=self.total_words, words_per_second=1.0, seconds=1.0,
        )  # fmt: skip
