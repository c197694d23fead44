"""Tokens a second of training in batches, beside PyTorch (a Python that has torch: TORCH_PYTHON) on the same cores.

    TORCH_PYTHON=/path/to/python python bench/batch.py [--threads 1 2] [--runs 5] [NAME...]

Both learn from the same kind of blocks (random words: the work does not depend on them) and clip the norm of the
gradient; runs alternate; ratios are of medians.  ``sgemm``: how long NumPy takes for the products of a block alone,
each at its best shape, on one thread; the share says how much of that rate is reached.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import common
import numpy as np

BLOCK = {"words": 10_000, "batch": 20, "steps": 35}
NETWORKS = {
    "lstm 200x2": {"cell": "lstm", "hidden": 200, "layers": 2, "blocks": 10},
    "lstm 650x2": {"cell": "lstm", "hidden": 650, "layers": 2, "blocks": 3},
    "gru 200x2": {"cell": "gru", "hidden": 200, "layers": 2, "blocks": 10},
    "elman 200x2": {"cell": "elman", "hidden": 200, "layers": 2, "blocks": 10},
    "lstm 200x2, sampled": {"cell": "lstm", "hidden": 200, "layers": 2, "blocks": 10, "loss": "sampled"},
    "lstm 650x2, sampled": {"cell": "lstm", "hidden": 650, "layers": 2, "blocks": 3, "loss": "sampled"},
}
GATES = {"lstm": 4, "gru": 3, "elman": 1}


def engine_of(settings: dict):
    from corpora.text.vocab import Vocab
    from rnnlm.config import ModelConfig, TrainConfig
    from rnnlm.engines import engine_of
    from rnnlm.initial import initial_params
    from rnnlm.model import RecurrentLM

    H, V = settings["hidden"], settings["words"]
    config = ModelConfig(
        cell=settings["cell"], hidden=H, layers=settings["layers"], embedding=H, classes=1, activation="tanh"
    ) if settings["cell"] == "elman" else ModelConfig(
        cell=settings["cell"], hidden=H, layers=settings["layers"], embedding=H, classes=1
    )  # fmt: skip
    words = [b"</s>", *(b"%d" % i for i in range(1, V))]
    lm = RecurrentLM.create(
        config, Vocab(words, np.arange(V, 0, -1)), initial_params(config, V, np.random.default_rng(1), "uniform")
    )
    loss = {"loss": settings["loss"]} if "loss" in settings else {}
    training = TrainConfig(
        engine="minibatch", batch_size=settings["batch"], bptt=settings["steps"], gradient_cutoff=0.0, clip_norm=5.0,
        optimizer="sgd", alpha=1.0, **loss,
    )  # fmt: skip
    return engine_of(lm, training, settings["threads"])


def serve(settings: dict) -> None:
    """As torch_peer.py, with this project's engine."""
    engine = engine_of(settings)
    rng = np.random.default_rng(1)
    ids = rng.integers(settings["words"], size=(settings["batch"], 64 * settings["steps"])).astype(np.int32)
    at = 0

    def block() -> None:
        nonlocal at
        engine.learn_block(ids[:, at : at + settings["steps"]], 1.0)
        at = (at + settings["steps"]) % ids.shape[1]

    block()
    print(json.dumps({"version": common.commit()}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(settings["blocks"]):
            block()
        print(time.perf_counter() - began, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


class Process:
    """A server that is asked to go on by a line."""

    def __init__(self, command: list[str], threads: int):
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[-threads:]))
        self.process = subprocess.Popen(
            ["taskset", "-c", cores, *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.version = json.loads(self.process.stdout.readline())["version"]

    def seconds(self) -> float:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> float:
        """The peak of memory in MiB."""
        self.process.stdin.close()
        return float(self.process.stdout.readline())


def product_seconds(settings: dict) -> float:
    """What NumPy takes for the products of a block on one thread."""
    H, V, B, T = (settings[name] for name in ("hidden", "words", "batch", "steps"))
    n, G = B * T, GATES[settings["cell"]]
    shapes = [(n, H, V), (n, V, H), (H, n, V)]
    for _ in range(settings["layers"]):
        shapes += [(n, H, G * H), (n, G * H, H), (H, n, G * H)] * 2
    rng, total = np.random.default_rng(1), 0.0
    for m, k, columns in shapes:
        A, B_ = rng.random((m, k), np.float32), rng.random((k, columns), np.float32)
        out, times = np.empty((m, columns), np.float32), []
        for _ in range(5):
            began = time.perf_counter()
            np.matmul(A, B_, out=out)
            times.append(time.perf_counter() - began)
        total += min(times)
    return total


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--products", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", default=list(NETWORKS))
    options = parser.parse_args()
    torch = common.peer("TORCH_PYTHON")
    here = os.path.dirname(__file__)
    print(common.environment())
    print(f"{'network':20} threads  tokens/s  torch   ratio  of sgemm  MiB, torch")
    for name in options.names:
        for threads in options.threads:
            settings = BLOCK | NETWORKS[name] | {"threads": threads}
            ours = Process([sys.executable, __file__, "serve", json.dumps(settings)], threads)
            plain = {key: value for key, value in settings.items() if key != "loss"}
            theirs = Process([torch, f"{here}/torch_peer.py", json.dumps(plain)], threads) if torch else None
            found = [], []
            for _ in range(options.runs):
                found[0].append(ours.seconds())
                if theirs:
                    found[1].append(theirs.seconds())
            tokens = settings["batch"] * settings["steps"] * settings["blocks"]
            rates = [tokens / statistics.median(times) if times else float("nan") for times in found]
            products = subprocess.run(
                ["taskset", "-c", str(max(os.sched_getaffinity(0))), sys.executable, __file__, "products",
                 json.dumps(settings)],
                capture_output=True, text=True, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}, check=True,
            )  # fmt: skip
            share = float(products.stdout) / (settings["batch"] * settings["steps"] / rates[0]) / threads
            peaks = ours.close(), theirs.close() if theirs else float("nan")
            print(
                f"{name:20} {threads:7}  {rates[0]:8.0f}  {rates[1]:5.0f}  {rates[0] / rates[1]:6.2f}  "
                f"{'-' if 'loss' in settings else f'{share:.2f}':>8}  {peaks[0]:.0f}, {peaks[1]:.0f}",
                flush=True,
            )
    if theirs:
        print(f"torch {theirs.version}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(json.loads(sys.argv[2]))
    elif sys.argv[1:2] == ["products"]:
        print(product_seconds(json.loads(sys.argv[2])))
    else:
        main()
