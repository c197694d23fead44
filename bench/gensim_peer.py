"""gensim's word2vec in a process of its own, by a Python that has gensim: the other side of bench/w2v.py.

    python gensim_peer.py train TEXT VECTORS SETTINGS   train on TEXT and save the vectors in word2vec's binary form
    python gensim_peer.py serve TEXT PART SETTINGS      train on PART, with the vocabulary of TEXT, for every line of
                                                        standard input, and answer with the seconds that it took

SETTINGS: the arguments of gensim.models.Word2Vec, in JSON.
"""

from __future__ import annotations

import json
import sys
import time

from gensim import __version__
from gensim.models import Word2Vec


def train(text: str, vectors: str, settings: dict) -> None:
    model = Word2Vec(corpus_file=text, **settings)
    model.wv.save_word2vec_format(vectors, binary=True)


def serve(text: str, part: str, settings: dict) -> None:
    model = Word2Vec(**settings)
    model.build_vocab(corpus_file=text)
    with open(part, "rb") as file:
        lengths = [len(line.split()) for line in file]
    print(json.dumps({"version": __version__, "vocabulary": len(model.wv)}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        model.train(corpus_file=part, total_words=sum(lengths), total_examples=len(lengths), epochs=model.epochs)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    command, *paths, settings = sys.argv[1:]
    {"train": train, "serve": serve}[command](*paths, json.loads(settings))
