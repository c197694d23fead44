"""What ``rnnlm info`` tells about a model file."""

from __future__ import annotations

import os

from corpora.settings import settings_of
from rnnlm.cells import CELLS
from rnnlm.formats import FORMAT_NAMES


def facts(path: str | os.PathLike) -> dict:
    """Everything that the file's head says, ready for JSON; perplexities are those of the validation text."""
    from rnnlm.io import peek  # NumPy is loaded with the first model

    head = peek(path)
    found = {
        "file": os.fspath(path),
        "format": FORMAT_NAMES.get(head["format"], head["format"]),
        "compression": head["compression"],
        "bytes": head["bytes"],
    }
    if "config" in head:
        return found | _recurrent_facts(head)
    names = {"n_words": "words"}
    return found | {names.get(key, key): value for key, value in head.items() if key not in found}


def _recurrent_facts(head: dict) -> dict:
    history = head["history"]
    valid = [epoch["valid_perplexity"] for epoch in history if epoch.get("valid_perplexity") is not None]
    return {
        "architecture": head["config"].to_dict(),
        "words": head["n_words"],
        "parameters": head["n_parameters"],
        "training": head["training"],
        "history": history,
        "best_valid_perplexity": min(valid, default=None),
    }


def describe(found: dict) -> str:
    """The facts as lines for a reader."""
    packed = f", {found['compression']}" if found["compression"] else ""
    rows = [("file", f"{found['file']} ({found['format']}{packed}, {found['bytes']} bytes)")]
    if "architecture" in found:
        rows += _network(found)
    elif "ngrams" in found:
        rows += _ngrams(found)
    elif "components" in found:
        rows += _mixture(found)
    else:
        rows.append(("content", f"probabilities of the words of one text ({found['probabilities']})"))
    lines = [f"{name:11} {value}" for name, value in rows]
    epochs = [e for e in found.get("history", []) if None not in map(e.get, ("epoch", "alpha", "train_entropy"))]
    if epochs:
        lines.append("\nepoch     alpha  train bits  valid bits  perplexity")
        lines.extend(map(_epoch, epochs))
    return "\n".join(lines)


def _network(found: dict) -> list[tuple[str, str]]:
    a, training = found["architecture"], found["training"]
    classes = f"{a['classes']} classes{' (old)' if a['old_classes'] else ''}"
    output = "softmax over all words" if a["classes"] == 1 else classes
    if a["output_layer"] != "softmax":
        output = f"{a['output_layer']} softmax"
    compression = f", compression layer {a['compression']}" if a["compression"] else ""
    direct = f", {a['direct']} direct connections of order {a['direct_order']}" if a["direct"] else ""
    rows = [
        ("network", f"{_cell(a)}, {_layers(a)}, {output}{compression}{direct}"),
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
    return rows


def _cell(a: dict) -> str:
    """The cell and the form of it that was chosen."""
    if a["cell"] == "gru":
        return f"gru that resets {a['reset']} the product"
    if a["cell"] != "lstm":
        return a["cell"]
    parts = ([] if a["forget_gate"] else ["without forget gate"]) + (["with peepholes"] if a["peephole"] else [])
    return " ".join(["lstm", ", ".join(parts)]) if parts else "lstm"


def _layers(a: dict) -> str:
    """The hidden layers and what is below them."""
    kind = f"{a['activation']} " if "activation" in CELLS[a["cell"]].has else ""
    units = f"{a['hidden']} {kind}hidden units"
    layers = f"{a['layers']} layers of {units}" if a["layers"] > 1 else units
    tied = " (tied to the output)" if a["tied"] else ""
    return layers + (f", embedding of {a['embedding']} units{tied}" if a["embedding"] else "")


def _ngrams(found: dict) -> list[tuple[str, str]]:
    training = found["training"]
    discounts = [order["discounts"] for order in training.get("orders", [])]
    rows = [("order", str(found["order"]))]
    for n, count in enumerate(found["ngrams"], start=1):
        known = discounts[n - 1] if len(discounts) >= n else {}
        rows.append((f"{n}-grams", "  ".join([str(count), *(f"{name} {value:.6g}" for name, value in known.items())])))
    if "smoothing" in training:
        rows.append(("smoothing", training["smoothing"] + (", interpolated" if training.get("interpolated") else "")))
    if training.get("min_counts"):
        rows.append(("min counts", ", ".join(map(str, training["min_counts"]))))
    if training.get("prune"):
        rows.append(("pruned", f"by {training['prune']:g}"))
    rows.append(("tokenizer", training.get("tokenizer", "whitespace")))
    if training.get("train_words"):
        rows.append(("trained on", f"{training['train_words']} words and sentence ends"))
    return rows


def _mixture(found: dict) -> list[tuple[str, str]]:
    rows = [("mixture", found["kind"])]
    rows += [(f"{part['weight']:.6f}", _component(part)) for part in found["components"]]
    if found["tuned"]:
        rows.append(("tuned", ", ".join(f"{name} {value}" for name, value in found["tuned"].items())))
    return rows


def _component(part: dict) -> str:
    if "model" in part:
        return part["model"]
    if "cache" in part:
        return "cache, " + ", ".join(f"{name} {value}" for name, value in part["cache"].items() if value is not None)
    if "neural_cache" in part:
        cache = part["neural_cache"]
        return ", ".join(["neural cache", *(f"{name} {cache[name]}" for name in ("size", "theta")), cache["model"]])
    inner = ", ".join(f"{p['weight']:.6f} {_component(p)}" for p in part["mixture"]["components"])
    return f"{part['mixture']['kind']} mixture ({inner})"


_OFTEN_CHANGED = (
    "schedule", "warmup", "average", "momentum", "weight_decay", "dropout", "dropout_input", "dropout_between",
    "dropout_output", "dropout_words", "dropout_recurrent", "locked", "loss", "full_epochs",
)  # fmt: skip


def _learning(training: dict) -> str:
    bptt, config = training.get("bptt", 0), training.get("config", {})
    if config.get("engine") == "minibatch":
        streams = f"{config.get('batch_size', 1)} streams in blocks of {bptt - 1} words"
        through_time = f"{config.get('optimizer', 'sgd')}, {streams}"
    else:
        through_time = f"bptt {bptt - 1}, block {training.get('bptt_block', 10)}" if bptt > 1 else "no bptt"
    alpha = training.get("alpha", training["starting_alpha"])
    last = f", at last {alpha:g}" if alpha != training["starting_alpha"] else ""
    seed = f", seed {config['seed']}" if "seed" in config else ""
    return f"alpha {training['starting_alpha']:g}{last}, {through_time}{_unusual(config)}{seed}"


def _unusual(config: dict) -> str:
    """What was chosen of the settings that are off by default, or that replace the usual way."""
    from rnnlm.config import TrainConfig  # NumPy is loaded by now

    known, found = settings_of(TrainConfig), ""
    for name in _OFTEN_CHANGED:
        value = config.get(name, known[name].default)
        if value != known[name].default:
            found += f", {name.replace('_', ' ')}" + ("" if value is True else f" {value}")
    return found


def _epoch(e: dict) -> str:
    bits, perplexity = e.get("valid_entropy"), e.get("valid_perplexity")
    valid = f"{'-':>10}  {'-':>10}" if None in (bits, perplexity) else f"{bits:10.4f}  {perplexity:10.2f}"
    kept = "" if e.get("kept", True) else "  not kept"
    return f"{e['epoch']:5d}  {e['alpha']:.6f}  {e['train_entropy']:10.4f}  {valid}{kept}"
