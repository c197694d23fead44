"""What ``rnnlm info`` tells about a model file."""

from __future__ import annotations

import os

from rnnlm.io import peek


def facts(path: str | os.PathLike) -> dict:
    """Everything that the file's head says, ready for JSON; perplexities are those of the validation text."""
    head = peek(path)
    config = head["config"].to_dict()
    history = head["history"]
    valid = [epoch["valid_perplexity"] for epoch in history if epoch.get("valid_perplexity") is not None]
    return {
        "file": os.fspath(path),
        "format": head["format"],
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
    a = found["architecture"]
    output = "softmax over all words" if a["classes"] == 1 else f"{a['classes']} classes{' (old)' if a['old_classes'] else ''}"
    compression = f", compression layer {a['compression']}" if a["compression"] else ""
    direct = f", {a['direct']} direct connections of order {a['direct_order']}" if a["direct"] else ""
    rows = [
        ("file", f"{found['file']} ({found['format']}, {found['bytes']} bytes)"),
        ("network", f"{a['cell']}, {a['hidden']} {a['activation']} hidden units, {output}{compression}{direct}"),
        ("sentences", "independent" if a["independent"] else "one after another, the state is carried over"),
        ("vocabulary", f"{found['words']} words"),
        ("parameters", f"{found['parameters']} ({a['dtype']})"),
    ]
    training = found["training"]
    if training.get("tokenizer"):
        rows.append(("tokenizer", training["tokenizer"]))
    if training.get("train_words"):
        rows.append(("trained on", f"{training['train_words']} words"))
    if found["best_valid_perplexity"] is not None:
        rows.append(("validation", f"perplexity {found['best_valid_perplexity']:.2f}"))
    lines = [f"{name:11} {value}" for name, value in rows]
    if found["history"]:
        lines.append("\nepoch     alpha  train bits  valid bits  perplexity    words/s")
        for e in found["history"]:
            bits, perplexity = e["valid_entropy"], e["valid_perplexity"]
            valid = f"{bits:10.4f}  {perplexity:10.2f}" if bits is not None else f"{'-':>10}  {'-':>10}"
            kept = "" if e.get("kept", True) else "  not kept"
            lines.append(
                f"{e['epoch']:5d}  {e['alpha']:.6f}  {e['train_entropy']:10.4f}  {valid}  {e['words_per_second']:9.0f}{kept}"
            )
    return "\n".join(lines)
