"""Every kind of training and scoring of the product, once on a small text, in one process: a checksum of each result.

    python tests/every_training.py FOLDER [--inner-first] [--interrupt | --resume]

FOLDER has train.txt and valid.txt; what is written goes below it.  Standard output has one line ``name checksum`` for
each kind.  ``--inner-first`` loads each compiled function that the cache has, in the reverse order of their names,
before anything else.  ``--interrupt`` also stops some runs in the middle, which ``--resume``, of another process,
brings to their end.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import pickle
import pkgutil
import shlex
import signal
import sys
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

NET = "rnnlm train train.txt --valid valid.txt -o OUT --force --max-iter 2 --hidden 20 --threads 1 "
BATCHES = "--batch-size 5 --bptt 10 "
VECTORS = "w2v train train.txt -o OUT --format native --force --iter 2 --size 20 --min-count 1 --alpha 0.1 --sample 0 "
KINDS = {
    "net, classes": NET + "--class 5",
    "net, softmax": NET + "--class 1 --activation tanh --alpha 0.01",
    "net, everything": NET + "--class 5 --compression 10 --direct 0.001 --independent",
    "net, float64": NET + "--class 5 --dtype float64",
    "net, 0.4b": NET + "--class 5 --dtype float64 --compatible --direct 0.001",
    "net, lstm": NET + BATCHES + "--cell lstm --embedding 10 --dropout 0.2 --locked --clip-norm 1",
    "net, layers": NET + BATCHES + "--layers 2 --embedding 20 --tied --schedule cosine --average 1 --optimizer sgd "
    "--momentum 0.9 --alpha 0.5 --dropout-recurrent 0.1 --dropout-words 0.1 --threads 2",
    "vectors, cbow": VECTORS + "--threads 1",
    "vectors, skip-gram": VECTORS + "--threads 1 --skipgram",
    "vectors, float64": VECTORS + "--threads 1 --skipgram --dtype float64",
    "vectors, tree": VECTORS + "--threads 1 --hs --negative 0",
    "vectors, tree and drawn words": VECTORS + "--threads 1 --skipgram --hs",
    "vectors, drawn afresh": VECTORS + "--threads 1 --negatives exact",
    "vectors, two threads": VECTORS + "--threads 2 --deterministic",
    "n-grams, Kneser-Ney": "rnnlm ngram train.txt -o OUT --force --order 4",
    "n-grams, Good-Turing": "rnnlm ngram train.txt -o OUT --force --smoothing good-turing",
    "n-grams, pruned": "rnnlm ngram train.txt -o OUT --force --order 3 --prune 1e-4 --to arpa",
}
SCORES = {
    "scores of a net": "rnnlm surprisal -m {classes} valid.txt",
    "scores of independent sentences": "rnnlm surprisal -m {everything} valid.txt",
    "scores while it learns": "rnnlm ppl -m {classes} valid.txt --dynamic 0.1 --report word",
    "scores of n-grams": "rnnlm surprisal -m {n-grams} valid.txt",
    "scores of a mixture": "rnnlm ppl -m {classes} -m {n-grams} valid.txt --report word",
}
INTERRUPTED = [
    "net, classes", "net, everything", "net, float64", "net, lstm", "net, layers", "vectors, cbow",
    "vectors, tree and drawn words",
]  # fmt: skip


def path_of(kind: str) -> str:
    return kind.replace(", ", "-").replace(" ", "-")


def run(line: str) -> tuple[int, str]:
    """The exit status and the output of a command line, in this process."""
    program, *arguments = shlex.split(line)
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    with redirect_stdout(out):
        code = importlib.import_module(f"{program}.cli").run(arguments)
    out.flush()
    return code, out.buffer.getvalue().decode()


def train(kind: str, suffix: str = "") -> str:
    output = path_of(kind) + suffix
    code, _ = run(KINDS[kind].replace("OUT", output))
    assert code == 0, (kind, code)
    return hashlib.sha256(Path(output).read_bytes()).hexdigest()[:16]


def score(kind: str) -> str:
    paths = {"classes": "net-classes", "everything": "net-everything", "n-grams": "n-grams-Kneser-Ney"}
    line = SCORES[kind]
    for name, path in paths.items():
        line = line.replace("{" + name + "}", path)
    code, out = run(line)
    assert code == 0, (kind, code)
    timeless = "\n".join(row for row in out.splitlines() if "per second" not in row)
    return hashlib.sha256(timeless.encode()).hexdigest()[:16]


@contextmanager
def interrupted_soon():
    """Ctrl-C after the first part of the training is learnt; of blocks, parts are small, so that it is in an epoch."""
    import rnnlm.trainer
    import w2v.run
    from rnnlm.engines import minibatch

    learn, tick, most = rnnlm.trainer.Trainer.learn, w2v.run.Run._on_tick, minibatch._MOST_WORK
    minibatch._MOST_WORK = 0
    parts = [0]

    def learn_and_stop(self, ids, *position):
        learn(self, ids, *position)
        if ids.size:
            parts[0] += 1
            if parts[0] == 2:
                signal.raise_signal(signal.SIGINT)

    def tick_and_stop(self, trainer):
        signal.raise_signal(signal.SIGINT)
        return tick(self, trainer)

    rnnlm.trainer.Trainer.learn, w2v.run.Run._on_tick = learn_and_stop, tick_and_stop
    try:
        yield
    finally:
        rnnlm.trainer.Trainer.learn, w2v.run.Run._on_tick, minibatch._MOST_WORK = learn, tick, most


def load_inner_kernels() -> None:
    """Load each piece of machine code that the cache has, and the bitcode of all functions that others call."""
    import marshal

    from corpora.compute import native
    from corpora.compute.code_cache import _MAGIC, folder_of
    from corpora.compute.kernels import Kernel

    found = {}
    for package in ("corpora", "rnnlm", "w2v"):
        for module in pkgutil.walk_packages([str(ROOT / package)], package + "."):
            if "__main__" not in module.name:
                for name, value in vars(importlib.import_module(module.name)).items():
                    if isinstance(value, Kernel):
                        found[f"{value.__module__}.{name}"] = value
    loaded = 0
    for name in sorted(found, reverse=True):
        kernel = found[name]
        module = Path(kernel.py_func.__code__.co_filename).stem
        for path in sorted(Path(folder_of(kernel)).glob(f"{module}.{kernel.py_func.__qualname__}.*bc")):
            content = path.read_bytes()[len(_MAGIC) + 4 :]
            if path.suffix == ".nbc":
                native.callable_of(native.Code(*marshal.loads(content)))
            else:
                signature, *_ = pickle.loads(content)
                kernel.dispatcher.compile(signature)
            loaded += 1
    assert loaded > 60, loaded


def main(folder: str, *flags: str) -> None:
    os.chdir(folder)
    if "--inner-first" in flags:
        load_inner_kernels()
    for kind in KINDS:
        print(f"{path_of(kind)} {train(kind)}", flush=True)
    for kind in SCORES:
        print(f"{path_of(kind)} {score(kind)}", flush=True)
    if "--interrupt" in flags:
        for kind in INTERRUPTED:
            with interrupted_soon():
                code, _ = run(KINDS[kind].replace("OUT", path_of(kind) + "-resumed").replace(" --force", ""))
            assert code == 130, (kind, code)
    if "--resume" in flags:
        for kind in INTERRUPTED:
            output = path_of(kind) + "-resumed"
            code, _ = run(KINDS[kind].replace("OUT", output).replace(" --force", ""))
            assert code == 0, (kind, code)
            digest = hashlib.sha256(Path(output).read_bytes()).hexdigest()[:16]
            print(f"{path_of(kind)} {digest}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
