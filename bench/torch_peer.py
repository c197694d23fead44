"""A word language model in PyTorch, by a Python that has torch, in its own process: the other side of bench/batch.py.

    python torch_peer.py SETTINGS     trains on random words; for every line of standard input some blocks more

SETTINGS, in JSON: cell, hidden, layers, words, batch, steps, threads, blocks.  Answers with the seconds of each call,
at last with the peak of memory in MiB.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import torch
from torch import nn


class Model(nn.Module):
    """Embedding, recurrent layers, a softmax over all words: what ``rnnlm train --cell lstm --embedding H`` trains."""

    def __init__(self, cell: str, hidden: int, layers: int, words: int):
        super().__init__()
        self.encoder = nn.Embedding(words, hidden)
        self.rnn = {"lstm": nn.LSTM, "gru": nn.GRU, "elman": nn.RNN}[cell](hidden, hidden, layers)
        self.decoder = nn.Linear(hidden, words)

    def forward(self, ids, state):
        hidden, state = self.rnn(self.encoder(ids), state)
        return self.decoder(hidden), state


def main(cell: str, hidden: int, layers: int, words: int, batch: int, steps: int, threads: int, blocks: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = Model(cell, hidden, layers, words)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    ids = torch.randint(words, (64 * steps + 1, batch))
    state, at = None, 0

    def block() -> None:
        nonlocal state, at
        inputs, targets = ids[at : at + steps], ids[at + 1 : at + steps + 1]
        at = (at + steps) % (63 * steps)
        scores, state = model(inputs, state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss = nn.functional.cross_entropy(scores.view(-1, words), targets.reshape(-1)) * steps
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()

    block()
    print(json.dumps({"version": torch.__version__}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(blocks):
            block()
        print(time.perf_counter() - began, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
