"""What ``w2v info`` tells about a file of word vectors."""

from __future__ import annotations

import os

FORM_NAMES = {
    "native": "native",
    "text": "word2vec's text",
    "binary": "word2vec's binary",
    "glove": "GloVe's text",
}


def facts(path: str | os.PathLike) -> dict:
    """What the file's head says, ready for JSON; bytes of words that are not UTF-8 become ``\\xHH``."""
    from w2v.io import peek  # NumPy is loaded with the first file

    head = peek(path)
    words = [word.decode("utf-8", "backslashreplace") for word in head.pop("first_words")]
    return {"file": os.fspath(path), **head, "first_words": words}


def describe(found: dict) -> str:
    """The facts as lines for a reader."""
    from corpora.jobs.system import readable_size

    packed = f", {found['compression']}" if found["compression"] else ""
    size = f", {readable_size(found['bytes'])}" if found["bytes"] else ""  # a pipe has none
    rows = [
        ("file", f"{found['file']} ({FORM_NAMES[found['format']]}{packed}{size})"),
        ("words", str(found["words"])),
        ("dimensions", f"{found['dimensions']} ({found.get('dtype', 'float32')})"),
    ]
    if found["first_words"]:
        rows.append(("first words", " ".join(found["first_words"])))
    training = dict(found.get("training", {}))
    if config := training.pop("config", None):
        rows += _config(config)
    rows += [(name.replace("_", " "), str(value)) for name, value in training.items() if _is_simple(value)]
    if found.get("state"):
        rows.append(("training", f"can go on: the file has {', '.join(found['state'])}"))
    return "\n".join(f"{name:12} {value}" for name, value in rows)


def _config(config: dict) -> list[tuple[str, str]]:
    """The settings of ``TrainConfig`` as rows; those that a file of another version lacks are left out."""
    names = {"cbow": "CBOW", "skipgram": "skip-gram"}
    objective = []
    if config.get("hs"):
        objective.append("hierarchical softmax")
    if config.get("negative"):
        objective.append(f"{config['negative']} negatives ({config.get('negatives', 'exact')})")
    given = ("window", "sample", "iterations", "alpha", "seed")
    settings = [f"{name} {config[name]}" for name in given if config.get(name) is not None]
    architecture = config.get("architecture", "")
    return [
        ("architecture", ", ".join([names.get(architecture, architecture), *objective])),
        ("settings", ", ".join(settings)),
    ]


def _is_simple(value) -> bool:
    return isinstance(value, str | int | float) and value != ""
