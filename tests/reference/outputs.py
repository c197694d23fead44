"""Output layers in plain NumPy float64, written for reading: one row after another.

Each function returns log probabilities (n,), the errors (n, P) of what is below, and gradients by name: those of the
sum of what is learnt from, to be climbed.  n rows, P units below, V words, C classes; a target of -1 counts nothing.
"""

from __future__ import annotations

import numpy as np

from tests.reference.online import feature_places, softmax


def logistic(x):
    return 1 / (1 + np.exp(-x))


def class_softmax(params, hidden, targets, histories, class_of_word, order):
    """Mikolov et al. (2011): K, then P(class) P(word | class) by C and O, with features in D."""
    gradients = {name: np.zeros_like(values) for name, values in params.items()}
    log_prob, errors = np.zeros(len(targets)), np.zeros_like(hidden)
    for r, word in enumerate(targets):
        if word < 0:
            continue
        below = logistic(params["K"] @ hidden[r]) if "K" in params else hidden[r]
        dbelow = np.zeros_like(below)
        c = int(class_of_word[word])
        members = np.flatnonzero(class_of_word == c)
        groups = [("O", members, word - members[0], c + 1)]
        if len(params["C"]) > 1:
            groups.append(("C", np.arange(len(params["C"])), c, 0))
        for name, rows, target, number in groups:
            scores, places = params[name][rows] @ below, []
            if "D" in params:
                places = feature_places(histories[r].tolist(), order, number, len(rows), len(params["D"]))
                scores = scores + [sum(params["D"][at] for at in some) for some in places]
            prob = softmax(scores)
            log_prob[r] += np.log(prob[target])
            error = np.eye(len(rows))[target] - prob
            dbelow += error @ params[name][rows]
            gradients[name][rows] += np.outer(error, below)
            for some, e in zip(places, error, strict=False):
                for at in some:
                    gradients["D"][at] += e
        if "K" in params:
            dbelow = dbelow * below * (1 - below)
            gradients["K"] += np.outer(dbelow, hidden[r])
            dbelow = dbelow @ params["K"]
        errors[r] = dbelow
    return log_prob, errors, gradients


def full_softmax(params, hidden, targets):
    """exp(O_w . h + o_w) over the sum of all."""
    gradients = {name: np.zeros_like(values) for name, values in params.items()}
    log_prob, errors = np.zeros(len(targets)), np.zeros_like(hidden)
    for r, word in enumerate(targets):
        if word >= 0:
            prob = softmax(params["O"] @ hidden[r] + params["o"])
            error = np.eye(len(prob))[word] - prob
            log_prob[r] = np.log(prob[word])
            errors[r] = error @ params["O"]
            gradients["O"] += np.outer(error, hidden[r])
            gradients["o"] += error
    return log_prob, errors, gradients


def huffman_paths(counts):
    """[(node, branch), ...] from the root to each word, by joining the two lightest again and again.

    A queue of words from the last to the first, one of nodes as they are made; at equal weight the node goes first,
    and the heavier of two gets branch 1 (word2vec.c).
    """
    words = [(int(count), ("word", w)) for w, count in enumerate(counts)][::-1]
    nodes, made = [], {}
    while len(words) + len(nodes) > 1:
        pair = []
        for _ in range(2):
            queue = words if words and (not nodes or words[0][0] < nodes[0][0]) else nodes
            pair.append(queue.pop(0))
        made[len(made)] = [what for _, what in pair]
        nodes.append((pair[0][0] + pair[1][0], ("node", len(made) - 1)))
    paths = {}

    def walk(node, path):
        for branch, (kind, number) in enumerate(made[node]):
            here = [*path, (node, branch)]
            if kind == "word":
                paths[number] = here
            else:
                walk(number, here)

    walk(len(made) - 1, [])
    return [paths[w] for w in range(len(counts))]


def hierarchical_softmax(params, hidden, targets, paths):
    """Morin & Bengio (2005): the product of the probabilities of all branches on the way; branch 0 has f(score)."""
    gradients = {name: np.zeros_like(values) for name, values in params.items()}
    log_prob, errors = np.zeros(len(targets)), np.zeros_like(hidden)
    for r, word in enumerate(targets):
        for node, branch in paths[word] if word >= 0 else []:
            share = logistic(params["N"][node] @ hidden[r] + params["n"][node])
            log_prob[r] += np.log(1 - share if branch else share)
            error = (1 - branch) - share
            errors[r] += error * params["N"][node]
            gradients["N"][node] += error * hidden[r]
            gradients["n"][node] += error
    return log_prob, errors, gradients


def sampled_softmax(params, hidden, targets, drawn, shares):
    """Jean et al. (2015) with importance weights: Z is the target's term and, for each draw of another word, 1 / (K q).

    drawn (K,): words, as often as they were drawn.  shares (V,): q.
    """
    gradients = {name: np.zeros_like(values) for name, values in params.items()}
    log_prob, errors = np.zeros(len(targets)), np.zeros_like(hidden)
    for r, word in enumerate(targets):
        if word < 0:
            continue
        terms = [(word, 1.0)] + [(w, 1 / (len(drawn) * shares[w])) for w in drawn if w != word]
        exps = np.array([factor * np.exp(params["O"][w] @ hidden[r] + params["o"][w]) for w, factor in terms])
        log_prob[r] = np.log(exps[0] / exps.sum())
        for k, (w, _) in enumerate(terms):
            error = (k == 0) - exps[k] / exps.sum()
            errors[r] += error * params["O"][w]
            gradients["O"][w] += error * hidden[r]
            gradients["o"][w] += error
    return log_prob, errors, gradients


def contrast(params, hidden, targets, drawn, shares, log_z):
    """Mnih & Teh (2012), eq. 5 with a fixed Z: the probability that the target is data, and each other draw noise."""
    gradients = {name: np.zeros_like(values) for name, values in params.items()}
    value, errors = np.zeros(len(targets)), np.zeros_like(hidden)
    for r, word in enumerate(targets):
        if word < 0:
            continue
        for w, is_data in [(word, 1)] + [(w, 0) for w in drawn if w != word]:
            score = params["O"][w] @ hidden[r] + params["o"][w] - log_z
            p = logistic(score - np.log(len(drawn) * shares[w]))
            value[r] += np.log(p if is_data else 1 - p)
            errors[r] += (is_data - p) * params["O"][w]
            gradients["O"][w] += (is_data - p) * hidden[r]
            gradients["o"][w] += is_data - p
    return value, errors, gradients
