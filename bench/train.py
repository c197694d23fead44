"""Words a second of online training on PTB, one core, float32, beside rnnlm 0.4b where RNNLM04B names its binary.

    RNNLM04B=/path/to/rnnlm python bench/train.py [HIDDEN...]      (default: 100 200 400)

Runs of the two alternate; the ratio is that of the medians.  Compilation is not counted: ours is warmed up, theirs
is its own figure for the loop over the words.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np

RUNS = 5
WORDS = 200_000


def ours(text, valid, hidden: int):
    from rnnlm.config import ModelConfig, TrainConfig
    from rnnlm.engines.online import CHUNK
    from rnnlm.initial import initial_params
    from rnnlm.model import RecurrentLM
    from rnnlm.trainer import Trainer

    config = ModelConfig(hidden=hidden, classes=100)
    params = initial_params(config, len(text.vocab), np.random.default_rng(1))
    model = RecurrentLM.create(config, text.vocab, params)
    trainer = Trainer(model, TrainConfig(bptt=4, bptt_block=10), text.ids, valid.ids)
    trainer.warm_up()

    def run() -> float:
        start = trainer.progress.position
        began = time.perf_counter()
        for k in range(start, start + WORDS, CHUNK):
            trainer.learn(text.ids[k : k + CHUNK])
        return WORDS / (time.perf_counter() - began)

    trainer.learn(text.ids[:CHUNK])
    return run


def theirs(program: str, hidden: int, folder: str):
    """0.4b's own figure for one pass over the first words of the same text."""
    lines, n = [], 0
    for line in common.data("ptb/ptb.train.txt").open():
        lines.append(line)
        n += len(line.split()) + 1
        if n > WORDS:
            break
    part = Path(folder) / "part.txt"
    part.write_text("".join(lines))

    def run() -> float:
        model = Path(folder) / "model"
        model.unlink(missing_ok=True)
        command = [program, "-train", part, "-valid", part, "-rnnlm", model, "-hidden", hidden, "-class", 100]
        command += ["-bptt", 4, "-bptt-block", 10, "-one-iter", "-binary", "-debug", 1]
        out = subprocess.run([str(word) for word in command], capture_output=True, text=True).stdout
        return float(re.findall(r"Words/sec: ([\d.]+)", out)[-1])

    return run


def main() -> None:
    common.one_core()
    from corpora.text.stream import encode
    from corpora.text.tokenizers import get_tokenizer

    print(common.environment())
    program = common.peer("RNNLM04B")
    text = encode([str(common.data("ptb/ptb.train.txt"))], get_tokenizer(), threads=1)
    valid = encode([str(common.data("ptb/ptb.valid.txt"))], get_tokenizer(), text.vocab, threads=1)
    print("| hidden | words/s | 0.4b words/s | ratio |\n|---|---|---|---|")
    for hidden in [int(word) for word in sys.argv[1:]] or [100, 200, 400]:
        with tempfile.TemporaryDirectory() as folder:
            run, peer = ours(text, valid, hidden), theirs(program, hidden, folder) if program else None
            mine, other = [], []
            for _ in range(RUNS if hidden < 300 else 3):
                if peer:
                    other.append(peer())
                run_at = run()
                mine.append(run_at)
        a = statistics.median(mine)
        b = statistics.median(other) if other else None
        print(f"| {hidden} | {a:,.0f} | {f'{b:,.0f}' if b else '-'} | {f'{a / b:.2f}' if b else '-'} |", flush=True)


if __name__ == "__main__":
    main()
