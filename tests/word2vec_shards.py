"""What the twins learn from a shard: words that are kept, their windows and drawn words, as the kernels take them."""

from __future__ import annotations

from corpora.compute.simd import aligned_zeros
from tests.reference import word2vec as twin


def windows_of(kept, first, stop):
    """[(contexts, centre)] of the kept words."""
    return [
        ([int(kept[j]) for j in range(a, b) if j != i], int(kept[i]))
        for i, (a, b) in enumerate(zip(first, stop, strict=True))
    ]


def learn_shared(m, windows, negatives, alpha, *, chunk, negative, cbow, update="original"):
    """negatives (chunks or more, N).  m: dict of matrices, changed.  Returns the summed loss and the examples."""
    loss, n_examples = 0.0, 0
    for begin in range(0, len(windows), chunk):
        drawn = negatives[begin // chunk].tolist()
        some = [(contexts, centre) for contexts, centre in windows[begin : begin + chunk] if contexts]
        n = len(some) if cbow else sum(len(contexts) for contexts, _ in some)
        if n and cbow:
            args = some, drawn, negative, alpha
            loss += n * twin.cbow_negative_shared(m["syn0"], m["syn1neg"], *args, update=update)
        elif n:
            args = [(centre, contexts) for contexts, centre in some], drawn, negative, alpha
            loss += n * twin.skipgram_negative_shared(m["syn0"], m["syn1neg"], *args)
        n_examples += n
    return loss, n_examples


def learn_exact(m, windows, negatives, alpha, *, negative, cbow, update="original"):
    """negatives (n,): ``negative`` for each example, in order; one that is the target is left out."""
    examples, place = [], 0
    for contexts, centre in windows:
        for inputs in [contexts] if cbow else [[word] for word in contexts]:
            drawn = [word for word in negatives[place : place + negative].tolist() if word != centre]
            place += negative
            if inputs:
                examples.append((inputs, centre, drawn, 1.0))
    if not examples:
        return 0.0, 0
    mean = twin.cbow_negative(m["syn0"], m["syn1neg"], examples, alpha, update=update)
    return mean * len(examples), len(examples)


def learn_tree(m, windows, tree, alpha, *, cbow, update="original"):
    """The examples of a centre are learnt at once."""
    loss, n_examples = 0.0, 0
    for contexts, centre in windows:
        inputs = [contexts] if cbow else [[word] for word in contexts]
        if contexts:
            some = [(words, centre) for words in inputs]
            how = {"update": update, "at_once": True}
            loss += len(some) * twin.cbow_hierarchical(m["syn0"], m["syn1"], some, tree, alpha, **how)
            n_examples += len(some)
    return loss, n_examples


def padded_copies(m, width, dtype):
    """The matrices as the kernels take them: rows of ``width``, zero beyond their end."""
    copies = {}
    for name, values in m.items():
        copies[name] = aligned_zeros((len(values), width), dtype)
        copies[name][:, : values.shape[1]] = values
    return copies


def drawn_matrices(rng, names, n_words, size):
    """float64 (V, size) that float32 holds exactly."""
    return {name: rng.normal(0, 0.3, (n_words, size)).astype("float32").astype(float) for name in names}
