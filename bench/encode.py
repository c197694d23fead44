"""How fast a text becomes a vocabulary and word ids: MB/s in a warm process, by number of threads.

    python bench/encode.py [TEXT] [--threads 1 2] [--runs 7] [--given]

The text is that of ../shared/data/wiki/train.txt if none is named.  The first run, which loads the
compiled kernels, is reported apart; of the others the fastest and the middle one.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from corpora.text.stream import encode
from corpora.text.tokenizers import get_tokenizer

WIKI = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "wiki" / "train.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", default=str(WIKI))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--given", action="store_true", help="encode with the vocabulary that was learnt")
    arguments = parser.parse_args()
    tokenizer = get_tokenizer()

    def run(threads: int, vocab=None) -> tuple[float, object]:
        start = time.perf_counter()
        with encode([arguments.text], tokenizer, vocab, threads=threads) as stream:
            return time.perf_counter() - start, stream

    seconds, stream = run(1)
    print(f"{arguments.text}: {stream.text_bytes / 1e6:.1f} MB, {stream.n_tokens} tokens, {len(stream.vocab)} types")
    print(f"first run: {seconds:.2f} s")
    vocab = stream.vocab if arguments.given else None
    for threads in arguments.threads:
        times = sorted(run(threads, vocab)[0] for _ in range(arguments.runs))
        best, middle = (stream.text_bytes / 1e6 / times[i] for i in (0, len(times) // 2))
        print(f"threads {threads}: best {times[0]:.3f} s, {best:.0f} MB/s; median {middle:.0f} MB/s")


if __name__ == "__main__":
    main()
