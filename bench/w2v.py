"""Word vectors beside gensim and word2vec.c: speed, threads, text to file, quality, growth, the tools.

    GENSIM_PYTHON=.../python WORD2VEC=.../word2vec WORD2PHRASE=.../word2phrase COMPUTE_ACCURACY=.../compute-accuracy \\
        python bench/w2v.py [SECTION...]

    speed       training alone, one core, beside gensim's corpus_file with one worker
    threads     training alone, one thread and one for each core, as they come and with --deterministic
    end-to-end  from text to saved vectors, all cores: seconds, peak memory
    scaling     words a second from 1 to 19 million words, and by the size of the vectors (one core)
    tools       w2v phrases beside word2phrase, w2v accuracy beside compute-accuracy, w2v nearest in a million words
    quality     analogies and word similarity, also of word2vec.c; takes hours, so that it runs only if it is named

"Training alone": the vocabulary is that of the whole text, what is trained on are its first words (--words), ours and
theirs; compilation, the vocabulary pass and the encoding of the text are not counted on either side.  Words are those
of the text, without sentence ends.  Runs of ours and of theirs alternate.  A program whose variable is missing is left
out.  word2vec.c at its newest commit (20c129a) never clears `eof`, so that the thread that meets the end of the file
learns nothing in later epochs, with -threads 1 in all but the first: take a build where it is cleared, or d83ccfb.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import common
import objectives
import quality
import tools
from objectives import MIN_COUNT, OBJECTIVES
from processes import CORES, ENVIRONMENT, Took, alternate, core_counts, measure, median, on_cores, table, yes
from texts import MILLION, first_words, n_words, wiki

SIZE = 100
PART = 4  # millions of words that are trained on where training alone is timed
SPEED = [("sg-ns", 100), ("sg-ns", 300), ("cbow-ns", 100), ("cbow-ns", 300), ("sg-hs", 100), ("cbow-hs", 100)]
SIZES = (50, 100, 200, 300, 500)
WORDS = (1, 2, 4, 8, 16, math.inf)


# ---- training alone


class Encoded(NamedTuple):
    """Ids of a text, its number of words, and the counts of the vocabulary."""

    ids: object
    n_words: int
    counts: object


def encoded(text: Path, part: Path) -> Encoded:
    """A part of a text, with the vocabulary of the whole."""
    import numpy as np

    from corpora.text.stream import encode
    from corpora.text.tokenizers import get_tokenizer

    whole = encode([str(text)], get_tokenizer(), min_count=MIN_COUNT, rare="drop")
    stream = whole if part == text else encode([str(part)], get_tokenizer(), whole.vocab, keep_oov=True)
    return Encoded(np.array(stream.ids), stream.n_tokens - stream.n_sentences, whole.vocab.counts)


class Training:
    """Passes over a text with one pair of matrices, of which the first, when all pages are new, is not counted."""

    def __init__(self, text: Encoded, name: str, size: int, **more):
        from w2v.config import TrainConfig
        from w2v.matrices import Matrices

        self.text = text
        self.config = TrainConfig(**objectives.config(name, size, iterations=1, **more))
        self.matrices = Matrices.create(len(text.counts), self.config, 1)
        self.examples = 0
        self.seconds()

    def seconds(self, threads: int = 1) -> float:
        """Of one pass."""
        from w2v.trainer import Trainer

        trainer = Trainer(self.config, self.matrices, self.text.ids, self.text.counts, threads=threads)
        trainer.warm_up()
        began = time.perf_counter()
        for report in trainer.fit():
            self.examples = report.examples
        return time.perf_counter() - began

    @property
    def mebibytes(self) -> float:
        from w2v.matrices import Matrices

        return Matrices.bytes_needed(len(self.text.counts), self.config) / (1 << 20)


@contextmanager
def gensim_passes(text: Path, part: Path, name: str, size: int) -> Iterator:
    """A function that trains by gensim once and returns its seconds; None without gensim."""
    python = objectives.gensim_python()
    if python is None:
        yield None
        return
    settings = objectives.gensim_settings(name, size, epochs=1, workers=1)
    command = [python, str(objectives.PEER), "serve", str(text), str(part), settings]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:  # fmt: skip
        json.loads(process.stdout.readline())  # its vocabulary is made

        def seconds() -> float:
            process.stdin.write("\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield seconds
        process.stdin.close()


def speed(place: Path, o) -> None:
    text = wiki()
    part = first_words(text, (o.words or PART) * MILLION, place)
    common.one_core()
    ids = encoded(text, part)
    rows = []
    for name, size in SPEED:
        if name not in (o.objectives or OBJECTIVES):
            continue
        ours, theirs, ratios = [], [], []
        training = Training(ids, name, size)
        with gensim_passes(text, part, name, size) as peer:
            for _ in range(o.runs):
                took = training.seconds()
                if peer:
                    theirs.append(peer())
                    took = (took + training.seconds()) / 2  # on both sides of theirs: the machine may change its pace
                    ratios.append(theirs[-1] / took)
                ours.append(took)
        rates = [f"{ids.n_words / statistics.median(took) / 1e6:.3f}" if took else "-" for took in (ours, theirs)]
        cells = (
            [f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}", f"{max(ratios):.2f}"] if ratios else ["-"] * 3
        )
        rows.append([OBJECTIVES[name].title, size, *rates, *cells])
    table(["", "d", "M words/s", "gensim", "ratio, median", "lowest", "highest"], rows)
    print(f"\n{ids.n_words:,} words, {len(ids.counts):,} in the vocabulary")


def threads(place: Path, o) -> None:
    """Of every run the ratios of what it took, one after another, as the machine may change its pace; their medians."""
    text = wiki()
    ids = encoded(text, first_words(text, (o.words or PART) * MILLION, place))
    rows = []
    for name, size in SPEED:
        if name not in (o.objectives or OBJECTIVES):
            continue
        free, lanes = Training(ids, name, size), Training(ids, name, size, deterministic=True)
        others = [Training(ids, name, size) for _ in range(max(core_counts()) - 1)]
        took = {(kind, n): [] for kind in ("free", "lanes", "apart") for n in core_counts()}
        for _ in range(o.runs):
            for n in core_counts():
                with on_cores(n):
                    took["free", n].append(free.seconds(n))
                    took["lanes", n].append(lanes.seconds(n))
                    took["apart", n].append(at_once([free, *others[: n - 1]]) if n > 1 else took["free", n][-1])
        for n in core_counts():
            pairs = {kind: zip(took["free", 1], took[kind, n], strict=True) for kind in ("free", "apart")}
            speedup = statistics.median(one / more for one, more in pairs["free"])
            limit = statistics.median(n * one / more for one, more in pairs["apart"])
            cost = statistics.median(
                more / less for less, more in zip(took["free", n], took["lanes", n], strict=True)
            )  # fmt: skip
            rates = [f"{ids.n_words / statistics.median(took[kind, n]) / 1e6:.3f}" for kind in ("free", "lanes")]
            cells = [rates[0], f"{speedup:.2f}", f"{limit:.2f}", rates[1], f"{cost:.2f}"]
            rows.append([OBJECTIVES[name].title, size, n, *cells])
    header = ["M words/s", "to one thread", "separate runs", "--deterministic", "its time to the other's"]
    table(["", "d", "threads", *header], rows)
    print(f"\n{ids.n_words:,} words; separate runs: so many of one thread each at once, with nothing in common")


def at_once(trainings: list[Training]) -> float:
    """Seconds until all have made a pass with one thread."""
    with ThreadPoolExecutor(len(trainings)) as pool:
        return max(pool.map(Training.seconds, trainings))


def scaling(place: Path, o) -> None:
    text = wiki()
    common.one_core()
    for name in o.objectives or ["sg-ns"]:
        rows = []
        for words in WORDS:
            part = first_words(text, words * MILLION, place)
            rows.append(grown(encoded(part, part), name, SIZE, o.runs))
            if part == text:
                break
        print(f"\n{OBJECTIVES[name].title}, d={SIZE}, each text with its own vocabulary")
        header = ["vocabulary", "matrices, MiB", "M words/s", "examples a word", "ns an example", "ns/d"]
        table(["words", *header], rows)
        ids = encoded(text, first_words(text, (o.words or PART) * MILLION, place))
        print(f"\n{ids.n_words:,} words with the vocabulary of the whole text")
        table(["d", *header], [[size, *grown(ids, name, size, o.runs)[1:]] for size in SIZES])


def grown(ids: Encoded, name: str, size: int, runs: int) -> list:
    """A row: an example is a pair of words of skip-gram, a word with its context of CBOW."""
    training = Training(ids, name, size)
    seconds = statistics.median(training.seconds() for _ in range(runs))
    cost = seconds * 1e9 / training.examples
    rate, examples = ids.n_words / seconds / 1e6, training.examples / ids.n_words
    cells = [f"{training.mebibytes:,.0f}", f"{rate:.3f}", f"{examples:.3f}", f"{cost:.1f}", f"{cost / size:.3f}"]
    return [f"{ids.n_words:,}", f"{len(ids.counts):,}", *cells]


# ---- whole processes


def asked_text(o, place: Path) -> Path:
    return first_words(wiki(), o.words * MILLION, place) if o.words else wiki()


def end_to_end(place: Path, o) -> None:
    text, cores = asked_text(o, place), len(CORES)
    words = n_words(text)
    for name in o.objectives or ["sg-ns"]:
        files = {program: place / f"{program}.bin" for program in ("w2v", "gensim", "word2vec")}
        # loads, or compiles, what the runs that count will need
        tiny = first_words(text, 20_000, place)
        measure(objectives.w2v(name, tiny, files["w2v"], size=SIZE, epochs=1, threads=cores), cores=cores)
        settings = {"size": SIZE, "epochs": o.epochs, "threads": cores}
        commands = {
            program: command(name, text, files[program], **settings)
            for program, command in {"w2v": objectives.w2v, **quality.PEERS}.items()
            if quality.is_there(program)
        }
        cases = {
            program: lambda command=command: measure(command, cores=cores) for program, command in commands.items()
        }
        took = alternate(cases, o.runs)
        rows = [row(program, runs, took["w2v"], words * o.epochs) for program, runs in took.items()]
        print(f"\n{OBJECTIVES[name].title}, d={SIZE}, {words:,} words, epochs: {o.epochs}, cores: {cores}")
        table(["", "seconds", "fastest-slowest", "M words/s", "CPU seconds", "peak MiB", "its time to ours"], rows)
        bound = allowed(files["w2v"], text)
        peak = max(one.peak for one in took["w2v"])
        print(f"\ntwo matrices, the ids and 300 MB: {bound:,.0f} MiB; ours within that: {yes(peak <= bound)}")


def row(program: str, runs: list[Took], ours: list[Took], words: int) -> list:
    wall = median(runs)
    spread = f"{min(runs).seconds:.2f}-{max(runs).seconds:.2f}"
    cells = [f"{words / wall / 1e6:.3f}", f"{median(runs, 'cpu'):.1f}", f"{max(one.peak for one in runs):,.0f}"]
    ratio = "-" if runs is ours else f"{wall / median(ours):.2f}"
    return [program, f"{wall:.2f}", spread, *cells, ratio]


def allowed(vectors: Path, text: Path) -> float:
    """MiB of two float32 matrices of the file's size, the ids of the text and 300 MB."""
    with vectors.open("rb") as file:
        n, size = map(int, file.readline().split())
    with text.open("rb") as lines:
        n_ids = sum(len(line.split()) + 1 for line in lines)
    return (2 * n * size * 4 + n_ids * 4 + 300e6) / (1 << 20)


def used(place: Path, o) -> None:
    tools.run(asked_text(o, place), place, o.runs)


def judged(place: Path, o) -> None:
    names, programs = o.objectives or list(OBJECTIVES), o.programs or quality.DEFAULT
    quality.run(asked_text(o, place), place, programs, names, o.seeds, SIZE, o.epochs, o.again)


SECTIONS = {
    "speed": speed,
    "threads": threads,
    "end-to-end": end_to_end,
    "scaling": scaling,
    "tools": used,
    "quality": judged,
}


def arguments_of() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="all but quality, if none is named")
    parser.add_argument("--runs", type=int, default=5, help="[default: 5]")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="keep files here, such as the results of quality")
    parser.add_argument(
        "--words", type=float, metavar="N",
        help=f"millions of words of the text  [default: {PART} where training alone is timed, else all]",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=5, help="end-to-end and quality  [default: 5]")
    parser.add_argument(
        "--objectives", nargs="+", choices=OBJECTIVES, metavar="NAME",
        help=f"of {', '.join(OBJECTIVES)}  [default: all; end-to-end and scaling: sg-ns]",
    )  # fmt: skip
    parser.add_argument(
        "--peers", dest="programs", nargs="+", choices=quality.PROGRAMS, metavar="NAME",
        help=f"quality: of {', '.join(quality.PROGRAMS)}  [default: {', '.join(quality.DEFAULT)}]",
    )  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="quality  [default: 1 2 3]")
    parser.add_argument("--again", action="store_true", help="quality: also what is in the work folder's results")
    return parser, parser.parse_args()


def main() -> None:
    parser, o = arguments_of()
    sections = o.sections or [name for name in SECTIONS if name != "quality"]
    unknown = [name for name in sections if name not in SECTIONS]
    if unknown:
        parser.error(f"{unknown[0]}: one of {', '.join(SECTIONS)}")
    if len(sections) > 1:
        # each in a process of its own: what one of them loads must not count in the memory of another's children
        options = [word for word in sys.argv[1:] if word not in sections]
        for name in sections:
            subprocess.run([sys.executable, __file__, name, *options])
        return
    runs = "" if sections[0] == "quality" else f", medians of {o.runs}"
    print(f"\n### {sections[0]}: {common.environment()}{runs}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        place = (o.work or Path(temporary)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        SECTIONS[sections[0]](place, o)


if __name__ == "__main__":
    main()
