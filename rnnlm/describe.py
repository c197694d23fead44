"""What ``rnnlm info`` tells about a model file."""

from __future__ import annotations

import os

FORMAT_NAMES = {"native": "native", "mikolov-text": "0.4b-text", "mikolov-binary": "0.4b-binary"}
"""The formats of rnnlm.io as the command calls them."""


def facts(path: str | os.PathLike) -> dict:
    """Everything that the file's head says, ready for JSON; perplexities are those of the validation text."""
    from rnnlm.io import peek  # NumPy is loaded with the first model

    head = peek(path)
    config = head["config"].to_dict()
    history = head["history"]
    valid = [epoch["valid_perplexity"] for epoch in history if epoch.get("valid_perplexity") is not None]
    return {
        "file": os.fspath(path),
        "format": FORMAT_NAMES.get(head["format"], head["format"]),
        "compression": head["compression"],
        "bytes": head["bytes"],
        "architecture": config,
        "words": head["n_words"],
        "parameters": head["n_parameters"],
        "training": head["training"],
        "history": history,
        "best_valid_perplexity": min(valid, default=None),
    }


def describe(found: dict) -> str:
    """The facts as lines for a reader."""
    a, training = found["architecture"], found["training"]
    classes = f"{a['classes']} classes{' (old)' if a['old_classes'] else ''}"
    output = "softmax over all words" if a["classes"] == 1 else classes
    compression = f", compression layer {a['compression']}" if a["compression"] else ""
    direct = f", {a['direct']} direct connections of order {a['direct_order']}" if a["direct"] else ""
    packed = f", {found['compression']}" if found["compression"] else ""
    rows = [
        ("file", f"{found['file']} ({found['format']}{packed}, {found['bytes']} bytes)"),
        ("network", f"{a['cell']}, {a['hidden']} {a['activation']} hidden units, {output}{compression}{direct}"),
        ("sentences", "independent" if a["independent"] else "one after another, the state is carried over"),
        ("vocabulary", f"{found['words']} words"),
        ("parameters", f"{found['parameters']} ({a['dtype']})"),
        ("tokenizer", training.get("tokenizer", "whitespace")),
    ]
    if training.get("train_words"):
        rows.append(("trained on", f"{training['train_words']} words and sentence ends"))
    if "starting_alpha" in training:
        rows.append(("learning", _learning(training)))
    if found["best_valid_perplexity"] is not None:
        rows.append(("validation", f"perplexity {found['best_valid_perplexity']:.2f}"))
    elif training.get("valid_log10_prob"):
        rows.append(("validation", f"log10 probability {training['valid_log10_prob']:.4f}"))
    lines = [f"{name:11} {value}" for name, value in rows]
    if found["history"]:
        lines.append("\nepoch     alpha  train bits  valid bits  perplexity    words/s")
        lines.extend(map(_epoch, found["history"]))
    return "\n".join(lines)


def _learning(training: dict) -> str:
    bptt = training.get("bptt", 0)
    through_time = f"bptt {bptt - 1}, block {training.get('bptt_block', 10)}" if bptt > 1 else "no bptt"
    alpha = training.get("alpha", training["starting_alpha"])
    last = f", at last {alpha:g}" if alpha != training["starting_alpha"] else ""
    seed = f", seed {training['config']['seed']}" if "seed" in training.get("config", {}) else ""
    return f"alpha {training['starting_alpha']:g}{last}, {through_time}{seed}"


def _epoch(e: dict) -> str:
    bits, perplexity = e["valid_entropy"], e["valid_perplexity"]
    valid = f"{bits:10.4f}  {perplexity:10.2f}" if bits is not None else f"{'-':>10}  {'-':>10}"
    kept = "" if e.get("kept", True) else "  not kept"
    return f"{e['epoch']:5d}  {e['alpha']:.6f}  {e['train_entropy']:10.4f}  {valid}  {e['words_per_second']:9.0f}{kept}"
