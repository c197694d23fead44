"""Good files of every format that the product reads, small, and the commands that read them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import sys
from contextlib import closing
from pathlib import Path

from tests.robustness.mutating.trial import Sample, called

TEXT = b"the cat sees the dog\nthe dog sees a cat\na bird sings\nthe cat sleeps\nbirds sing and dogs run\n" * 6
TEST = b"the dog sleeps\na cat sees the unicorn\nbirds sing\n"
QUESTIONS = b": family\nthe cat a dog\ncat dog sees sees\n: gram1\nthe a cat dog\n"
PAIRS = b"word1\tword2\tscore\ncat\tdog\t7.5\nthe\ta\t3\nsees\tcat\t1.25\nbird\tunicorn\t9\n"
NBEST = {
    "nbest.txt": b"u1 the cat sees\nu1 the cat sleeps\nu2 a dog\nu2 a bird sings\n",
    "nbest.tsv": b"utterance\tacoustic\tlanguage\twords\nu1\t-10.5\t-3\tthe cat sees\nu1\t-11\t-2.5\tthe cat sleeps\n"
    b"u2\t-3\t-1\ta dog\nu2\t-4e0\t-1.5\ta bird sings\n",
    "nbest.srilm": b"-10.5 -3 3 <s> the cat sees </s>\n-11 -2.5 3 the cat sleeps\n-12 -3 2 the cat\n",
}
REFERENCES = b"u1 the cat sees\nu2 a bird sings\nnbest the cat sees\n"
Command = tuple[str, list[str], bytes]


def make(folder: Path) -> dict[str, Sample]:
    """The samples by the names of their formats; ``folder`` is where their files are made."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        _make_files()
        files = {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    finally:
        os.chdir(before)
    samples = [*_recurrent(files), *_ngrams(files), *_others(files), *_vectors(files), *_texts(files)]
    return {sample.name: sample for sample in [*samples, *_compressed(samples)]}


def _make_files() -> None:
    for name, content in {"text.txt": TEXT, "test.txt": TEST, **NBEST}.items():
        Path(name).write_bytes(content)
    for line in (
        "rnnlm train text.txt --valid test.txt -o plain.rnnlm --hidden 5 --class 3 --max-iter 1",
        "rnnlm convert plain.rnnlm -o model.0.4b.txt --to 0.4b-text",
        "rnnlm convert plain.rnnlm -o model.0.4b.bin --to 0.4b-binary",
        "rnnlm train text.txt --valid test.txt -o lstm.rnnlm --cell lstm --hidden 5 --embedding 4 --max-iter 1",
        "rnnlm convert lstm.rnnlm -o lstm.safetensors --to torch",
        "rnnlm ngram text.txt -o kn3.lm",
        "rnnlm convert kn3.lm -o kn3.arpa",
        "rnnlm ngram count text.txt -o counts.txt",
        "rnnlm mix -m plain.rnnlm -m kn3.lm --cache 50 -o mix.json",
        "w2v train text.txt -o vectors.w2v --size 6 --min-count 1 --iter 1 --threads 1 --hs",
        "w2v convert vectors.w2v vectors.txt",
        "w2v convert vectors.w2v vectors.bin",
        "w2v convert vectors.w2v vectors.glove --format glove",
        "corpora vocab text.txt -o vocab.txt",
    ):
        _do(line)
    for form in ("tsv", "json", "srilm"):
        os.environ.pop("RNNLM_TRACEBACK", None)
        Path(f"words.{form}").write_bytes(_do(f"rnnlm ppl -m kn3.lm test.txt --report word --format {form}"))
    lines = [line.split(b"\t") for line in Path("words.tsv").read_bytes().splitlines()[1:]]
    Path("words.plain").write_bytes(b"".join(b"%.6f\n" % 10 ** float(row[4]) if row[4] else b"0\n" for row in lines))
    _interrupt_training()


def try_good(sample: Sample, folder: Path) -> None:
    """Run the commands of a sample on its good files: all must do well.  Their kernels are loaded then."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        for path in Path().iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, content in sample.files.items():
            Path(name).write_bytes(content)
        for program, arguments, stdin in sample.commands:
            _do(" ".join([program, *arguments]), Path(stdin[1:].decode()).read_bytes() if stdin else b"")
    finally:
        os.chdir(before)


def _do(line: str, stdin: bytes = b"") -> bytes:
    """The output of a command that must do well."""
    program, *arguments = line.split()
    sys.stdout.flush()
    saved = [os.dup(fd) for fd in range(3)]
    try:
        for fd, name in ((1, ".stdout"), (2, ".stderr")):
            opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            os.dup2(opened, fd)
            os.close(opened)
        how, said = called(program, arguments, stdin)
        sys.stdout.flush()
        sys.stderr.flush()
        out = Path(".stdout").read_bytes()
    finally:
        for fd, kept in enumerate(saved):
            os.dup2(kept, fd)
            os.close(kept)
    if how != "read":
        raise RuntimeError(f"{line}: {how}\n{said}")
    for name in (".stdout", ".stderr", ".stdin"):
        os.unlink(name)
    return out


def _interrupt_training() -> None:
    """model.rnnlm and v.w2v, whose training was stopped after an epoch, with their checkpoints."""
    from rnnlm.config import ModelConfig, TrainConfig
    from rnnlm.data import VocabOptions, read_texts
    from rnnlm.run import Run

    texts = read_texts(["text.txt"], ["test.txt"], VocabOptions())
    config = ModelConfig(hidden=5, classes=3, direct=200, compression=4)
    run = Run("model.rnnlm", config, TrainConfig(max_epochs=3, min_improvement=1e-9), texts, say=lambda line: None)
    _stop_after_an_epoch(run)

    from w2v.checkpoint import Settings
    from w2v.config import TrainConfig as Config
    from w2v.run import Run as VectorRun
    from w2v.texts import VocabOptions as Options
    from w2v.texts import read_text

    settings = Settings([os.path.abspath("text.txt")], min_count=1, threads=1)
    text = read_text(["text.txt"], options=Options(min_count=1), threads=1)
    run = VectorRun("v.w2v", Config(size=6, iterations=3, hs=True), settings, text, 1, say=lambda line: None)
    run.watch = lambda trainer: None
    _stop_after_an_epoch(run)


def _stop_after_an_epoch(run) -> None:
    """Whoever stops reading the reports leaves a checkpoint."""
    with closing(run.epochs()) as epochs:
        next(epochs)


def _some(files: dict[str, bytes], *names: str, **more: bytes) -> dict[str, bytes]:
    return {name: files[name] for name in ("text.txt", "test.txt", *names)} | more


def _commands(lines: str, name: str = "", stdin: bytes = b"") -> list[Command]:
    """A command a line, NAME in it for ``name``."""
    found = [line.replace("NAME", name).split() for line in lines.splitlines() if line.strip()]
    return [(program, arguments, stdin) for program, *arguments in found]


MODEL = """
    rnnlm info NAME
    rnnlm info NAME --json
    rnnlm ppl -m NAME test.txt --report word --format tsv
    rnnlm surprisal -m NAME test.txt
    rnnlm generate -m NAME --words 12 --prefix the
"""
RECURRENT = """
    rnnlm ppl -m NAME --dynamic 0.1 test.txt
    rnnlm convert NAME -o out.txt --to 0.4b-text --force
    rnnlm convert NAME -o out.rnnlm --to native --force
"""
FOREIGN = """
    rnnlm convert NAME -o out.rnnlm --to native --force
    rnnlm convert NAME -o out.safetensors --to torch --force
"""
TOOLKIT = """
    rnnlm -rnnlm NAME -test test.txt
    rnnlm -rnnlm NAME -gen 5
    rnnlm -rnnlm NAME -train text.txt -valid test.txt -bptt 3
    rnnlm -rnnlm NAME -nbest -test nbest.txt
"""
TRAIN = """
    rnnlm train text.txt --valid test.txt -o model.rnnlm --hidden 5 --class 3 --direct 0.0002 --compression 4 \
 --max-iter 3 --min-improvement 1e-9
"""
NGRAM = """
    rnnlm convert NAME -o out.arpa -f
    rnnlm convert NAME -o out.lm --to native -f
"""
COUNTS = """
    rnnlm ngram --counts NAME -o a.lm -f --smoothing witten-bell
    rnnlm ngram --counts NAME -o b.lm -f
    rnnlm ngram --counts NAME -o c.lm -f --smoothing good-turing --prune 1e-6
    rnnlm surprisal -m a.lm test.txt
    rnnlm ngram count --merge NAME NAME -o both.txt -f
"""
VOCABULARY = """
    rnnlm ngram text.txt -o a.lm --vocab NAME -f
    corpora encode text.txt --vocab NAME -o ids.npy -f
    corpora stats test.txt --vocab NAME
    w2v train text.txt -o v.w2v --size 4 --iter 1 --threads 1 --vocab NAME --hs -f
"""
PROBABILITIES = """
    rnnlm info NAME
    rnnlm ppl -m NAME test.txt --report word
    rnnlm ppl -m NAME -m kn3.lm test.txt
    rnnlm surprisal -m NAME test.txt
"""
LISTS = """
    rnnlm rescore -m kn3.lm NAME
    rnnlm rescore -m kn3.lm NAME --references refs --json
    rnnlm rescore -m kn3.lm NAME --best --allow-empty
"""
VECTORS = """
    w2v info NAME
    w2v info NAME --json
    w2v nearest NAME cat -n 3
    w2v nearest NAME the dog
    w2v vectors NAME cat </s>
    w2v analogy NAME the cat a
    w2v accuracy NAME questions.txt --restrict 0
    w2v similarity NAME pairs.tsv
    w2v cluster NAME -k 3
    w2v align NAME NAME -n 3
    w2v convert NAME out.w2v -f
    w2v convert NAME out.txt -f
    w2v convert NAME out.bin -f
    w2v train text.txt -o new.w2v --init NAME --grow-vocab --iter 1 --threads 1 --hs --min-count 1 -f
"""
TEXTS = """
    corpora stats NAME --json
    corpora vocab NAME -o v -f
    corpora split NAME -o parts -f
    corpora encode NAME -o ids.npy --save-vocab w --tokenizer char -f
    corpora encode NAME -o ids.npy --save-vocab w --tokenizer word --lower -f
    rnnlm ppl -m kn3.lm NAME
    rnnlm ppl -m plain.rnnlm NAME --oov floor
    rnnlm ngram NAME -o a.lm -f
    rnnlm ngram count NAME -o c.txt -f --order 2
    w2v phrases NAME -o phrases.txt -f --min-count 1
    w2v train NAME -o v.w2v --size 4 --iter 1 --threads 1 --min-count 1 -f
"""


def _recurrent(files) -> list[Sample]:
    run, resume = _some(files, "model.rnnlm", "model.rnnlm.checkpoint"), _commands(TRAIN.replace("\\\n", ""))
    told = _commands("rnnlm info model.rnnlm.checkpoint")
    found = [
        Sample("rnnlm native", run, "model.rnnlm", "tensors", _commands(MODEL + RECURRENT, "model.rnnlm")),
        Sample("rnnlm checkpoint", run, "model.rnnlm.checkpoint", "tensors", [*told, *resume]),
        Sample("best of a checkpoint", run, "model.rnnlm", "tensors", resume),
    ]
    again = _commands(MODEL + FOREIGN, "lstm.safetensors")
    found.append(Sample("PyTorch", _some(files, "lstm.safetensors"), "lstm.safetensors", "tensors", again))
    for name, form in (("model.0.4b.txt", "text"), ("model.0.4b.bin", "binary")):
        commands = _commands(MODEL + RECURRENT + TOOLKIT, name)
        found.append(Sample(f"0.4b {form}", _some(files, name, "nbest.txt"), name, "text", commands))
    return found


def _ngrams(files) -> list[Sample]:
    return [
        Sample("native .lm", _some(files, "kn3.lm"), "kn3.lm", "tensors", _commands(MODEL + NGRAM, "kn3.lm")),
        Sample("ARPA", _some(files, "kn3.arpa"), "kn3.arpa", "text", _commands(MODEL + NGRAM, "kn3.arpa")),
        Sample("n-gram counts", _some(files, "counts.txt"), "counts.txt", "text", _commands(COUNTS, "counts.txt")),
    ]


def _others(files) -> list[Sample]:
    mixed = _some(files, "plain.rnnlm", "kn3.lm", "mix.json")
    found = [
        Sample("mix.json", mixed, "mix.json", "json", _commands(MODEL, "mix.json")),
        Sample("vocabulary", _some(files, "vocab.txt"), "vocab.txt", "text", _commands(VOCABULARY, "vocab.txt")),
    ]
    for form in ("plain", "tsv", "json", "srilm"):
        name = f"words.{form}"
        some, commands = _some(files, name, "kn3.lm"), _commands(PROBABILITIES, name)
        found.append(Sample(f"probabilities {form}", some, name, "text", commands))
    for name in NBEST:
        form = name.partition(".")[2]
        lines = LISTS.replace("--json", "--json --tune") if form == "srilm" else LISTS
        some = _some(files, name, "kn3.lm", refs=REFERENCES)
        found.append(Sample(f"n-best {form}", some, name, "text", _commands(lines, name)))
    some = _some(files, "nbest.tsv", "kn3.lm", refs=REFERENCES)
    commands = _commands("rnnlm rescore -m kn3.lm nbest.tsv --references refs")
    return [*found, Sample("references", some, "refs", "text", commands)]


def _vectors(files) -> list[Sample]:
    more = {"questions.txt": QUESTIONS, "pairs.tsv": PAIRS, "lines": b"0.5 1 -2 3e-1 0 1\ncat 1 2 3 4 5 6\n"}
    titles = {
        "vectors.w2v": ("w2v native", "tensors"), "vectors.txt": ("word2vec text", "text"),
        "vectors.bin": ("word2vec binary", "bytes"), "vectors.glove": ("GloVe", "text"),
    }  # fmt: skip
    found = []
    for name, (title, kind) in titles.items():
        found.append(Sample(title, _some(files, name) | more, name, kind, _commands(VECTORS, name)))
    checkpoint = "v.w2v.checkpoint"
    resume = _commands("w2v info v.w2v.checkpoint\n w2v train --resume text.txt -o v.w2v")
    found.append(Sample("w2v checkpoint", _some(files, checkpoint), checkpoint, "tensors", resume))
    good = _some(files, "vectors.w2v") | more
    asked = {
        "analogies": ("questions.txt", "w2v accuracy vectors.w2v questions.txt --restrict 0 --json"),
        "pairs": ("pairs.tsv", "w2v similarity vectors.w2v pairs.tsv\n w2v similarity vectors.w2v pairs.tsv --json"),
        "queries": ("lines", "w2v nearest vectors.w2v --vector -n 2"),
    }
    for title, (name, lines) in asked.items():
        stdin = b"@lines" if name == "lines" else b""
        found.append(Sample(title, good, name, "text", _commands(lines, stdin=stdin)))
    return found


def _texts(files) -> list[Sample]:
    some = _some(files, "kn3.lm", "plain.rnnlm")
    return [Sample("text", some, "text.txt", "text", _commands(TEXTS, "text.txt"))]


def _compressed(samples: list[Sample]) -> list[Sample]:
    """One format each in gzip, bzip2 and xz."""
    by_name = {sample.name: sample for sample in samples}
    found = []
    for (form, module), names in zip(
        {"gz": gzip, "bz2": bz2, "xz": lzma}.items(),
        (("ARPA", "text", "n-gram counts"), ("0.4b binary", "word2vec binary"), ("word2vec text", "native .lm")),
        strict=True,
    ):
        for name in names:
            sample = by_name[name]
            files = {**sample.files, sample.target: module.compress(sample.files[sample.target])}
            found.append(
                Sample(
                    f"{name}.{form}",
                    files,
                    sample.target,
                    sample.kind,
                    sample.commands,
                    module.compress,
                    module.decompress,
                )
            )
    return found
