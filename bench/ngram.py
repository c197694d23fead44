"""N-gram models beside KenLM: text to model, memory, queries, ARPA files, growth, smoothings and orders.

    LMPLZ=.../lmplz KENLM_BUILD_BINARY=.../build_binary KENLM_QUERY=.../query python bench/ngram.py [SECTION...]

    build      wiki, order 5, from text to the native file and to ARPA, beside lmplz, on one core and on all
    memory     the same within 300 MB
    ptb        Penn Treebank, order 5, and what of it is start-up
    query      words a second of scoring, encoding included, beside KenLM's probing query; loading (one core)
    arpa       reading and writing ARPA, MB a second
    scaling    1 to 19 million words (one core)
    smoothing  every smoothing with every order (one core; 72 cases: --runs 3 will do)

Runs of ours and of theirs alternate; figures are medians.  Each run of a command is a fresh process whose kernels were
compiled before, begun when everything written earlier has reached the disk.  A program whose variable is missing is
left out.
"""

from __future__ import annotations

import argparse
import filecmp
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import common
from processes import CORES, Took, alternate, core_counts, measure, median, on_cores, output_of, table, yes
from texts import MILLION, first_words, n_words, wiki

from rnnlm.cli.ngram import SMOOTHINGS

ORDER = 5
BOUND = "300M"
PRINT_SIZES = """
import sys
from rnnlm.io import load
trie = load(sys.argv[1]).trie
print(*(trie.n_ngrams(order) for order in range(1, trie.order + 1)))
"""
HEADER = ["", "cores", "seconds", "fastest-slowest", "CPU seconds", "peak MiB", "file MB", "lmplz / it"]


# ---- commands and texts


def ngram(text: Path, model: Path, *options, cores: int, order: int = ORDER) -> Took:
    """One run of ``rnnlm ngram``."""
    model.unlink(missing_ok=True)
    command = [sys.executable, "-m", "rnnlm", "ngram", text, "-o", model, "--order", order]
    return measure([*command, "--threads", cores, "--tmp", model.parent, *options], cores=cores)


def lmplz(program: str, text: Path, arpa: Path, *options, cores: int, memory: str = "4G") -> Took:
    arpa.unlink(missing_ok=True)
    command = [program, "-o", ORDER, "--text", text, "--arpa", arpa, "-S", memory, "-T", f"{arpa.parent}{os.sep}"]
    return measure([*command, *options], cores=cores)


def tiny(place: Path) -> Path:
    """A text whose model costs nothing but the start of the process."""
    path = place / "tiny.txt"
    path.write_text("a b c d e f\nb c d a f e\n" * 50)
    return path


def start_up(place: Path, *options, cores: int) -> None:
    """The command on a tiny text, both forms: what has to be compiled is now."""
    for form in ("arpa", "lm"):
        ngram(tiny(place), place / f"tiny.{form}", *options, cores=cores)


def sizes(model: Path) -> list[int]:
    """The numbers of n-grams of a model, order by order."""
    return [int(word) for word in output_of(PRINT_SIZES, model).split()]


def compare(cores: int, took: dict[str, list[Took]], files: dict[str, Path]) -> list[list]:
    """A row for each case; the ratio is that of the medians."""
    peer = median(took["lmplz"]) if "lmplz" in took else math.nan
    rows = []
    for name, runs in took.items():
        wall = median(runs)
        spread = f"{min(runs).seconds:.2f}-{max(runs).seconds:.2f}"
        peak = max(one.peak for one in runs)
        size = files[name].stat().st_size / 1e6
        ratio = "-" if name in ("lmplz", "start-up") or math.isnan(peer) else f"{peer / wall:.1f}"
        cpu = median(runs, "cpu")
        rows.append([name, cores, f"{wall:.2f}", spread, f"{cpu:.2f}", f"{peak:,.0f}", f"{size:,.0f}", ratio])
    return rows


# ---- estimation


def build(place: Path, runs: int) -> None:
    text, program = wiki(), common.peer("LMPLZ")
    rows = []
    for cores in core_counts():
        files = {"native": place / f"native-{cores}.lm", "ARPA": place / "ours.arpa", "lmplz": place / "theirs.arpa"}
        start_up(place, "--unk", "kenlm", cores=cores)
        cases = {
            name: lambda path=files[name], cores=cores: ngram(text, path, "--unk", "kenlm", cores=cores)
            for name in ("native", "ARPA")
        }
        if program:
            cases["lmplz"] = lambda path=files["lmplz"], cores=cores: lmplz(program, text, path, cores=cores)
        rows += compare(cores, alternate(cases, runs), files)
    table(HEADER, rows)
    natives = [place / f"native-{cores}.lm" for cores in core_counts()]
    same = all(filecmp.cmp(natives[0], other, shallow=False) for other in natives)
    print(f"\nthe same bytes on any number of cores: {yes(same)}")
    print(f"n-grams by order: {', '.join(f'{n:,}' for n in sizes(natives[0]))}")
    if program:
        print(f"as many as lmplz found: {yes(head(files['ARPA']) == head(files['lmplz']))}")


def head(arpa: Path) -> list[str]:
    """The lines of an ARPA file that say how many n-grams it has."""
    with arpa.open(encoding="utf-8") as lines:
        return [line for line, _ in zip(lines, range(2 * ORDER), strict=False) if line.startswith("ngram ")]


def bounded(place: Path, runs: int) -> None:
    text, program = wiki(), common.peer("LMPLZ")
    files = {"native": place / "bounded.lm", "lmplz": place / "theirs.arpa"}
    free = place / "free.lm"
    ngram(text, free, cores=len(CORES))
    rows = []
    for cores in core_counts():
        ngram(text, files["native"], "--memory", BOUND, cores=cores)  # a tiny text would not use what may compile
        cases = {"native": lambda cores=cores: ngram(text, files["native"], "--memory", BOUND, cores=cores)}
        if program:
            cases["lmplz"] = lambda cores=cores: lmplz(program, text, files["lmplz"], cores=cores, memory=BOUND)
        rows += compare(cores, alternate(cases, runs), files)
    table([f"within {BOUND}", *HEADER[1:]], rows)
    print(f"\nthe same bytes as without a bound: {yes(filecmp.cmp(free, files['native'], shallow=False))}")


def ptb(place: Path, runs: int) -> None:
    text, program = common.data("ptb/ptb.train.txt"), common.peer("LMPLZ")
    files = {
        "start-up": place / "tiny.lm",
        "native": place / "ptb.lm",
        "ARPA": place / "ptb.arpa",
        "lmplz": place / "theirs.arpa",
    }
    rows, notes = [], []
    for cores in core_counts():
        start_up(place, cores=cores)
        cases = {
            name: lambda source=source, path=files[name], cores=cores: ngram(source, path, cores=cores)
            for name, source in {"start-up": tiny(place), "native": text, "ARPA": text}.items()
        }
        if program:
            # <unk> is a word of this text, which lmplz refuses or, so asked, leaves out
            options = [files["lmplz"], "--skip_symbols"]
            cases["lmplz"] = lambda options=options, cores=cores: lmplz(program, text, *options, cores=cores)
        took = alternate(cases, runs)
        rows += compare(cores, took, files)
        beyond = [one.seconds - start.seconds for one, start in zip(took["native"], took["start-up"], strict=True)]
        notes.append(
            f"cores {cores}: the native file takes {statistics.median(beyond):.2f} s "
            f"({min(beyond):.2f} to {max(beyond):.2f}) beyond the start-up just before it"
        )
    table(HEADER, rows)
    print("", *notes, sep="\n")


def scaling(place: Path, runs: int) -> None:
    train, model, program = wiki(), place / "part.lm", common.peer("LMPLZ")
    start_up(place, cores=1)
    rows = []
    for words in (1, 2, 4, 8, 16, math.inf):
        text = first_words(train, words * MILLION, place)
        cases = {
            "start": lambda: ngram(tiny(place), place / "tiny.lm", cores=1),
            "native": lambda text=text: ngram(text, model, cores=1),
        }
        if program:
            cases["lmplz"] = lambda text=text: lmplz(program, text, place / "theirs.arpa", cores=1)
        took = alternate(cases, runs)
        n, seconds = sum(sizes(model)), median(took["native"]) - median(took["start"])
        cost, peak = seconds * 1e9 / n, max(one.peak for one in took["native"])
        peer = f"{median(took['lmplz']) * 1e9 / n:.0f}" if program else "-"
        cells = [f"{n_words(text):,}", f"{n:,}", f"{seconds:.3f}", f"{cost:.1f}", f"{cost / math.log2(n):.2f}"]
        rows.append([*cells, f"{peak:,.0f}", peer])
    table(["words", "n-grams", "seconds", "ns an n-gram", "/ log2 n-grams", "peak MiB", "lmplz, ns an n-gram"], rows)
    print("\nstart-up is taken off ours")


def smoothing(place: Path, runs: int, words: float) -> None:
    text, model = first_words(wiki(), words, place), place / "part.lm"
    orders, tokens = range(1, 10), n_words(text)
    ngram(text, model, cores=1, order=orders[-1])
    by_order = sizes(model)
    n_grams = [sum(by_order[:order]) for order in orders]
    field = "seconds" if math.isnan(ngram(tiny(place), model, cores=1).cpu) else "cpu"  # cpu: less noise
    seconds = {}
    for name in SMOOTHINGS:
        for order in orders:
            cases = {
                step: lambda path=path, name=name, order=order: ngram(
                    path, model, "--smoothing", name, cores=1, order=order
                )
                for step, path in {"start": tiny(place), "text": text}.items()
            }
            cases["start"]()  # compiles where that is needed
            took = alternate(cases, runs)
            seconds.setdefault(name, []).append(median(took["text"], field) - median(took["start"], field))
    header = ["", *(f"order {order}" for order in orders)]
    print(f"\n{tokens:,} words, start-up taken off ({field}).  ns for each of the text's different n-grams:")
    table(header, [["n-grams", *(f"{n:,}" for n in n_grams)], *costs(seconds, n_grams)])
    print("\nns for each n-gram of the text, repeated ones counted each time (words x order):")
    table(header, costs(seconds, [tokens * order for order in orders]))


def costs(seconds: dict[str, list[float]], units: list[int]) -> list[list]:
    return [[name, *(f"{1e9 * a / n:.1f}" for a, n in zip(row, units, strict=True))] for name, row in seconds.items()]


# ---- use


class Scoring(NamedTuple):
    """Seconds of encoding and scoring together, and of encoding alone."""

    tally: object
    seconds: float
    encoding: float


def score(lm, text: Path) -> Scoring:
    """What ``rnnlm ppl`` does with a loaded model: read, encode, score, sum up."""
    from corpora.evaluation.perplexity import evaluate
    from corpora.text.stream import encode
    from corpora.text.tokenizers import get_tokenizer

    began = time.perf_counter()
    with encode([str(text)], get_tokenizer(), threads=1) as stream:
        encoding = time.perf_counter() - began
        return Scoring(evaluate(lm, stream), time.perf_counter() - began, encoding)


def query(place: Path, runs: int) -> None:
    valid, long = common.data("wiki/valid.txt"), first_words(wiki(), 4 * MILLION, place)
    texts = {"wiki/valid.txt": valid, "wiki/train.txt, its first 4M words": long}
    small, model, probing = place / "ptb5.lm", wiki_model(place, "lm"), probing_model(place)
    ngram(common.data("ptb/ptb.train.txt"), small, cores=1)
    program = common.peer("KENLM_QUERY") if probing else None
    command = [program, "-b", "-v", "summary", probing]
    common.one_core()
    loads = {path: loading(path, runs) for path in (small, model)}
    from rnnlm.io import load

    lm = load(model)
    lm.threads = 1
    score(lm, common.data("ptb/ptb.valid.txt"))  # loads the kernels, touches next to nothing of the file
    first = {name: score(lm, text) for name, text in texts.items()}
    ours, whole, theirs, net = ({name: [] for name in texts} for _ in range(4))
    for _ in range(runs):
        for name, text in texts.items():
            ours[name].append(score(lm, text))
            whole[name].append(measure([sys.executable, "-m", "rnnlm", "ppl", "-m", model, text], cores=1).seconds)
            if program:
                theirs[name].append(measure(command, cores=1, stdin=text).seconds)
                net[name].append(theirs[name][-1] - measure(command, cores=1).seconds)
    rows = []
    for name in texts:
        n = first[name].tally.words + first[name].tally.sentences
        seconds = statistics.median(one.seconds for one in ours[name])
        scoring = statistics.median(one.seconds - one.encoding for one in ours[name])
        peer, peer_whole = (statistics.median(took[name]) if program else math.nan for took in (net, theirs))
        rates = [f"{n / took / 1e6:.2f}" for took in (seconds, first[name].seconds, scoring, peer)]
        processes = [f"{took:.2f}" for took in (statistics.median(whole[name]), peer_whole)]
        rows.append([name, f"{n:,}", *rates, f"{peer / seconds:.2f}", *processes])
    header = ["text", "tokens", "M tokens/s", "first pass", "ids ready", "KenLM probing", "ratio"]
    table([*header, "whole `rnnlm ppl`, s", "whole `query`, s"], rows)
    tally = first["wiki/valid.txt"].tally
    print(f"\nwiki/valid.txt: {tally.perplexity:.4f}, including OOVs {tally.perplexity_including_oov:.4f}")
    if program:
        with valid.open("rb") as text:
            out = subprocess.run(command, stdin=text, capture_output=True, text=True).stdout
        found = dict(re.findall(r"Perplexity (\w+) OOVs:\s*([\d.]+)", out))
        print(f"KenLM: {float(found['excluding']):.4f}, including OOVs {float(found['including']):.4f}")
    table(
        ["loading", "MB", "ms"],
        [[path.name, f"{path.stat().st_size / 1e6:,.0f}", took] for path, took in loads.items()],
    )


def loading(path: Path, runs: int) -> str:
    """Milliseconds of ``load``, the first one in the process left out."""
    from rnnlm.io import load

    took = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        load(path)
        took.append(time.perf_counter() - began)
    return f"{1e3 * statistics.median(took[1:]):.2f}"


def wiki_model(place: Path, ending: str) -> Path:
    """Our model of the training text; one that is there is taken."""
    path = place / f"wiki5.{ending}"
    if not path.exists():
        ngram(wiki(), path, "--unk", "kenlm", cores=len(CORES))
    return path


def probing_model(place: Path) -> Path | None:
    """KenLM's own model of the same text, in its fastest form; None without its programs."""
    path, estimate, convert = place / "wiki5.probing", common.peer("LMPLZ"), common.peer("KENLM_BUILD_BINARY")
    if not path.exists():
        if not (estimate and convert):
            return None
        lmplz(estimate, wiki(), place / "theirs.arpa", cores=len(CORES))
        measure([convert, "probing", place / "theirs.arpa", path], cores=len(CORES))
    return path


def arpa(place: Path, runs: int) -> None:
    model, file, written = wiki_model(place, "lm"), wiki_model(place, "arpa"), place / "written.arpa"
    program = common.peer("KENLM_BUILD_BINARY")
    ngram(tiny(place), place / "tiny.arpa", cores=1)
    from rnnlm.io import load, save

    lm = load(model)
    save(load(place / "tiny.arpa"), written, "arpa")  # loads the kernels
    megabytes = file.stat().st_size / 1e6
    rows = []
    for cores in core_counts():
        reads, writes, theirs = [], [], []
        for _ in range(runs):
            written.unlink()
            with on_cores(cores):
                began = time.perf_counter()
                load(file)
                reads.append(time.perf_counter() - began)
                began = time.perf_counter()
                save(lm, written, "arpa")
                writes.append(time.perf_counter() - began)
            if program:
                theirs.append(measure([program, "probing", file, place / "read.probing"], cores=cores).seconds)
        cells = [cell for took in (reads, writes, theirs) for cell in rate(megabytes, took)]
        rows.append([cores, f"{megabytes:,.0f}", *cells])
    table(["cores", "MB", "reading, s", "MB/s", "writing, s", "MB/s", "build_binary probing, s", "MB/s"], rows)
    print(f"\nwhat was written is what `rnnlm ngram` wrote: {yes(filecmp.cmp(file, written, shallow=False))}")


def rate(megabytes: float, took: list[float]) -> tuple[str, str]:
    if not took:
        return "-", "-"
    return f"{statistics.median(took):.2f}", f"{megabytes / statistics.median(took):,.0f}"


SECTIONS = {
    "build": build,
    "memory": bounded,
    "ptb": ptb,
    "query": query,
    "arpa": arpa,
    "scaling": scaling,
    "smoothing": smoothing,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="all, if none is named")
    parser.add_argument("--runs", type=int, default=5, help="[default: 5]")
    parser.add_argument("--words", type=float, default=4, help="smoothing: millions of words of the text [default: 4]")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="keep the models here, and take those that are")
    arguments = parser.parse_args()
    sections = arguments.sections or list(SECTIONS)
    unknown = [name for name in sections if name not in SECTIONS]
    if unknown:
        parser.error(f"{unknown[0]}: one of {', '.join(SECTIONS)}")
    if len(sections) > 1:
        # each in a process of its own: what one of them loads must not count in the memory of another's children
        options = [f"--runs={arguments.runs}", f"--words={arguments.words}"]
        options += [f"--work={arguments.work}"] if arguments.work else []
        for name in sections:
            subprocess.run([sys.executable, __file__, name, *options])
        return
    print(f"\n### {sections[0]}: {common.environment()}, medians of {arguments.runs}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        place = (arguments.work or Path(temporary)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        more = (arguments.words * MILLION,) if sections[0] == "smoothing" else ()
        SECTIONS[sections[0]](place, arguments.runs, *more)


if __name__ == "__main__":
    main()
