"""rnnlm 0.4b's learning, word by word, in plain NumPy float64: written for reading, not for speed.

Mikolov et al. (2010), "Recurrent neural network based language model"; (2011), "Extensions of recurrent neural
network language model".  One word at a time: forward, error, output update; back-propagation through time at
the end of each block, over a list of past steps whose newest is first.
"""

from __future__ import annotations

import numpy as np

ACTIVATIONS = {
    "logistic": (lambda x: 1 / (1 + np.exp(-np.clip(x, -50, 50))), lambda h: h * (1 - h)),
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "relu": (lambda x: np.maximum(x, 0), lambda h: (h > 0).astype(float)),
    "elu": (lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1), lambda h: np.where(h > 0, 1.0, 1 + h)),
}
# fmt: off
PRIMES = [108641969, 116049371, 125925907, 133333309, 145678979, 175308587, 197530793, 234567803, 251851741, 264197411,
          330864029, 399999781, 407407183, 459258997, 479012069, 545678687, 560493491, 607407037, 629629243, 656789717,
          716048933, 718518067, 725925469, 733332871, 753085943, 755555077, 782715551, 790122953, 812345159, 814814293,
          893826581, 923456189, 940740127, 953085797, 985184539, 990122807]
# fmt: on


def softmax(s):
    e = np.exp(s - s.max())
    return e / e.sum()


def clip(x, cutoff):
    return np.clip(x, -cutoff, cutoff) if cutoff > 0 else x


def feature_places(history, order, group, n, size):
    """For each row of the group the places of its features' weights; group 0: classes, c + 1: words of class c."""
    half, places = size // 2, [[] for _ in range(n)]
    hashes = []
    for a in range(order):
        if a > 0 and history[a - 1] == -1:
            break
        h = PRIMES[0] * PRIMES[1] % 2**32 * (group or 1)
        for b in range(1, a + 1):
            h += PRIMES[(a * PRIMES[b] + b) % 2**32 % 36] * (history[b - 1] + 1)
        hashes.append(h % 2**64 % half + (half if group else 0))
    for row in places:
        for a, h in enumerate(hashes):
            if h == 0:
                break
            row.append(h)
            hashes[a] = h + 1 if group == 0 else (h + 1) % size
    return places


class Online:
    """``params``: U W K C O D in float64, changed in place.  ``learn(word)`` returns its natural log probability."""

    def __init__(self, params, class_of_word, *, activation="logistic", order=3, independent=False, bptt=4, block=10,
                 alpha=0.1, beta=1e-7, cutoff=15.0):  # fmt: skip
        self.p, self.class_of_word, self.order, self.independent = params, class_of_word, order, independent
        self.f, self.df = ACTIVATIONS[activation]
        self.steps, self.block = (bptt + block - 1, block) if bptt else (1, 1)
        self.alpha, self.beta, self.cutoff = alpha, beta, cutoff
        self.n_hidden = len(params["W"])
        self.past = []  # [hidden, error] of each step, newest first
        self.words = [0] * self.steps  # their inputs
        self.start_text()

    def start_text(self):
        self.counter, self.last_word = 0, 0
        self.state = np.full(self.n_hidden, 0.1)
        self.words = [0] * len(self.words)
        self.history = [0] * 20

    def group(self, word):
        """(matrix, rows, target within them, number of the group for features) of a word, then of its class."""
        c = int(self.class_of_word[word])
        members = np.flatnonzero(self.class_of_word == c)
        yield self.p["O"], members, word - members[0], c + 1
        yield self.p["C"], np.arange(len(self.p["C"])), c, 0

    def learn(self, word):
        p, alpha = self.p, self.alpha
        self.counter += 1
        decay = alpha * self.beta if self.counter % 10 == 0 else 0.0
        hidden = self.f((p["U"][self.last_word] if self.last_word >= 0 else 0) + self.state @ p["W"])
        below = 1 / (1 + np.exp(-p["K"] @ hidden)) if "K" in p else hidden
        log_prob, error_below = 0.0, np.zeros_like(below)
        if word >= 0:
            learnt = []
            for M, rows, target, group in self.group(word):
                scores = M[rows] @ below
                if "D" in p:
                    places = feature_places(self.history, self.order, group, len(rows), len(p["D"]))
                    scores = scores + [sum(p["D"][at] for at in row) for row in places]
                prob = softmax(scores)
                log_prob += np.log(prob[target])
                error = -prob
                error[target] += 1
                learnt.append((M, rows, error, places if "D" in p else []))
            for M, rows, error, places in learnt:
                for row, e in zip(places, error, strict=False):
                    for at in row:
                        p["D"][at] += alpha * e - alpha * self.beta * p["D"][at]
                error_below = clip(error_below + error @ M[rows], self.cutoff)
                M[rows] += alpha * np.outer(error, below) - decay * M[rows]
        error = error_below
        if "K" in p:
            error_below = error_below * below * (1 - below)
            error = clip(error_below @ p["K"], self.cutoff)
            p["K"] += alpha * np.outer(error_below, hidden)
        self.past.insert(0, [hidden, error])
        self.words.insert(0, self.last_word)
        ended = self.independent and word == 0
        if self.counter % self.block == 0 or ended:
            self.back_propagate(decay)
        self.state, self.last_word = hidden, word
        self.history = [word, *self.history[:19]]
        if ended:
            self.state = np.ones(self.n_hidden)
            self.history = [0] * 20
            self.past = self.past[:2]
            self.words = self.words[:1] + [0] * (len(self.words) - 1)
        return log_prob

    def back_propagate(self, decay):
        p, alpha = self.p, self.alpha
        dW, dU, arriving = np.zeros_like(p["W"]), np.zeros_like(p["U"]), 0.0
        for s, (hidden, error) in enumerate(self.past[: self.steps]):
            word = self.words[s]
            delta = (arriving + error) * self.df(hidden)
            before = (
                self.state if s == 0 else self.past[s + 1][0] if s + 1 < len(self.past) else np.zeros(self.n_hidden)
            )
            dW += np.outer(before, delta)
            if word >= 0:
                dU[word] += delta
            arriving = clip(p["W"] @ delta, self.cutoff)
        p["W"] += alpha * dW - decay * p["W"]
        seen = set()
        for word in self.words[: self.steps]:
            if word >= 0:
                p["U"][word] += (alpha * dU[word] if word not in seen else 0) - decay * p["U"][word]
                seen.add(word)
        for row in self.past:
            row[1] = np.zeros(self.n_hidden)
        del self.past[self.steps + 1 :], self.words[self.steps + 1 :]
