"""Words a second of ``rnnlm ppl`` on the PTB test text, beside 0.4b's -test where RNNLM04B names its binary.

    RNNLM04B=/path/to/rnnlm python bench/score.py [HIDDEN...]      (default: 200)

Both score one model with random weights.  Ours is the time inside the model with kernels loaded; of theirs, the run on
an empty text (start-up, reading the model) is taken off.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np

RUNS = 7


def main() -> None:
    from corpora.evaluation.perplexity import evaluate
    from corpora.text.stream import encode
    from corpora.text.tokenizers import get_tokenizer
    from rnnlm.config import ModelConfig
    from rnnlm.initial import initial_params
    from rnnlm.io import save
    from rnnlm.model import RecurrentLM

    print(common.environment())
    program = common.peer("RNNLM04B")
    vocab = encode([str(common.data("ptb/ptb.train.txt"))], get_tokenizer()).vocab
    test = common.data("ptb/ptb.test.txt")
    stream = encode([str(test)], get_tokenizer())
    print("| hidden | cores | words/s | 0.4b words/s | ratio |\n|---|---|---|---|---|")
    for hidden in [int(word) for word in sys.argv[1:]] or [200]:
        config = ModelConfig(hidden=hidden, classes=100)
        model = RecurrentLM.create(config, vocab, initial_params(config, len(vocab), np.random.default_rng(1)))
        evaluate(model, stream)
        with tempfile.TemporaryDirectory() as folder:
            other = []
            if program:
                file, empty = Path(folder) / "model", Path(folder) / "empty.txt"
                save(model, str(file), "mikolov-binary")
                empty.write_text("\n")
            mine = []
            for _ in range(RUNS):
                mine.append(evaluate(model, stream).words_per_second)
                if program:
                    seconds = []
                    for text in (test, empty):
                        began = time.perf_counter()
                        subprocess.run([program, "-rnnlm", file, "-test", text, "-debug", "0"], capture_output=True)
                        seconds.append(time.perf_counter() - began)
                    other.append(stream.n_tokens / (seconds[0] - seconds[1]))
        a, b = statistics.median(mine), statistics.median(other) if other else None
        print(f"| {hidden} | 2 | {a:,.0f} | {f'{b:,.0f}' if b else '-'} | {f'{a / b:.2f}' if b else '-'} |", flush=True)


if __name__ == "__main__":
    main()
