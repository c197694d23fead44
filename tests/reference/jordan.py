"""Jordan's network in plain NumPy float64, written for reading: one word at a time, back-propagation over a list.

Jordan (1986), "Serial order: a parallel distributed processing approach", with the softmax as output.
"""

from __future__ import annotations

import numpy as np

from tests.reference.online import ACTIVATIONS, clip, softmax


class Jordan:
    """``params``: U (V, H), W (V, H), O (V, H) in float64, changed in place."""

    def __init__(self, params, class_of_word=None, *, activation="logistic", order=3, independent=False, bptt=4,
                 block=10, alpha=0.1, beta=1e-7, cutoff=15.0):  # fmt: skip
        self.p, self.independent = params, independent
        self.f, self.df = ACTIVATIONS[activation]
        self.steps, self.block = (bptt + block - 1, block) if bptt else (1, 1)
        self.alpha, self.beta, self.cutoff = alpha, beta, cutoff
        self.start_text()

    def start_text(self):
        self.counter, self.last_word = 0, 0
        self.y = np.zeros(len(self.p["O"]))
        self.past = []  # (word, outputs before, hidden, outputs after, error of hidden), newest first

    def read(self, word):
        """(hidden, outputs) of one step from the outputs before; word -1: no input."""
        hidden = self.f((self.p["U"][word] if word >= 0 else 0) + self.y @ self.p["W"])
        return hidden, softmax(self.p["O"] @ hidden)

    def learn(self, word):
        """The natural log probability of the word, which is learnt."""
        p, before = self.p, self.y
        hidden, self.y = self.read(self.last_word)
        self.counter += 1
        decay = self.alpha * self.beta if self.counter % 10 == 0 else 0.0
        log_prob, error = 0.0, np.zeros(len(hidden))
        if word >= 0:
            log_prob = np.log(self.y[word])
            e = np.eye(len(self.y))[word] - self.y
            error = clip(p["O"].T @ e, self.cutoff)
            p["O"] += self.alpha * np.outer(e, hidden) - decay * p["O"]
        self.past.insert(0, (self.last_word, before, hidden, self.y, error))
        self.last_word = word
        ended = self.independent and word == 0
        if self.counter % self.block == 0 or ended:
            self.back_propagate(decay)
        if ended:
            self.y, self.past = np.zeros_like(self.y), []
        return log_prob

    def back_propagate(self, decay):
        p, alpha = self.p, self.alpha
        learnt = {name: np.zeros_like(p[name]) for name in "UWO"}
        delta = None
        for word, before, hidden, after, error in self.past[: self.steps]:
            arriving = 0.0
            if delta is not None:
                dy = p["W"] @ delta
                dscores = (np.diag(after) - np.outer(after, after)) @ dy  # the softmax's Jacobian
                learnt["O"] += np.outer(dscores, hidden)
                arriving = clip(p["O"].T @ dscores, self.cutoff)
            delta = (arriving + error) * self.df(hidden)
            learnt["W"] += np.outer(before, delta)
            if word >= 0:
                learnt["U"][word] += delta
        p["W"] += alpha * learnt["W"] - decay * p["W"]
        p["O"] += alpha * learnt["O"]
        touched = sorted({word for word, *_ in self.past[: self.steps] if word >= 0})
        p["U"][touched] *= 1 - decay
        p["U"] += alpha * learnt["U"]
        self.past = [(*row[:4], np.zeros_like(row[4])) for row in self.past[: self.steps]]
