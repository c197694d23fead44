"""Analogies and word similarity after training by each program: a file of JSON lines, and the table that it gives."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import common
import objectives
from objectives import OBJECTIVES
from processes import CORES, ENVIRONMENT, measure, table
from texts import n_words

RESULTS = "quality.jsonl"
RESTRICT = 30_000
PAIRS = {"WS-353": "wordsim/EN-WS-353-ALL.txt", "MEN": "wordsim/EN-MEN-TR-3k.txt"}
FIGURES = ("analogies", "semantic", "syntactic", *PAIRS)
OURS = {
    "w2v": (),
    "w2v-exact": ("--negatives", "exact"),
    "w2v-deterministic": ("--deterministic",),
    "w2v-corrected": ("--cbow-update", "corrected"),
}
PEERS = {"gensim": objectives.gensim, "word2vec": objectives.word2vec}
PROGRAMS = (*OURS, *PEERS)
DEFAULT = ("w2v", *PEERS)


def run(
    text: Path,
    place: Path,
    programs: list[str],
    names: list[str],
    seeds: list[int],
    size: int,
    epochs: int,
    again: bool,
) -> None:
    """Train and judge what is asked for and not in the file yet, or all ``again``; then the table of the file."""
    done = [] if again else read(place)
    setting = {"size": size, "epochs": epochs, "words": n_words(text)}
    for seed in seeds:
        for name in names:
            for program in programs:
                if not (is_there(program) and differs(program, name)):
                    continue
                key = {"program": program, "objective": name, "seed": seed} | setting
                if program in OURS:
                    key["commit"] = common.commit()
                if any(key.items() <= one.items() for one in done):
                    continue
                figures = train_and_judge(program, name, text, place, seed=seed, size=size, epochs=epochs)
                with (place / RESULTS).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(key | figures) + "\n")
                shown = ", ".join(f"{figure} {figures[figure]:.4f}" for figure in FIGURES)
                print(f"{name} {program} seed {seed}: {shown}; {figures['seconds']:.0f} s", flush=True)
    show(place, setting)


def is_there(program: str) -> bool:
    if program == "gensim":
        return objectives.gensim_python() is not None
    return program in OURS or common.peer("WORD2VEC") is not None


def differs(program: str, name: str) -> bool:
    """Whether an option of ours changes anything for an objective."""
    objective = OBJECTIVES[name]
    return not ((program == "w2v-exact" and objective.hs) or (program == "w2v-corrected" and objective.skipgram))


def train_and_judge(program: str, name: str, text: Path, place: Path, **setting) -> dict:
    vectors = place / "quality.bin"
    vectors.unlink(missing_ok=True)
    command = PEERS.get(program, objectives.w2v)
    words = command(name, text, vectors, *OURS.get(program, ()), threads=len(CORES), **setting)
    took = measure(words, cores=len(CORES))
    figures = judge(vectors) | {"seconds": round(took.seconds, 2)}
    vectors.unlink()
    return figures


def judge(vectors: Path) -> dict:
    """Shares of analogies, of those whose words are among the first, and Spearman's correlations."""
    solved = report("accuracy", vectors, common.data("wordsim/questions-words.txt"), "--restrict", RESTRICT)
    agreed = report("similarity", vectors, *map(common.data, PAIRS.values()), "--lower")
    total = solved["total"]
    found = {"analogies": total["accuracy"], "correct": total["correct"], "seen": total["seen"]}
    found |= {kind: solved[kind]["accuracy"] for kind in ("semantic", "syntactic")}
    found |= {kind: one["spearman"] for kind, one in zip(PAIRS, agreed, strict=True)}
    return found | {f"{kind} pairs": one["used"] for kind, one in zip(PAIRS, agreed, strict=True)}


def report(command: str, *arguments):
    words = [sys.executable, "-m", "w2v", command, *map(str, arguments), "--json"]
    return json.loads(subprocess.run(words, capture_output=True, check=True, env=ENVIRONMENT).stdout)


def read(place: Path) -> list[dict]:
    path = place / RESULTS
    return [json.loads(line) for line in path.open(encoding="utf-8")] if path.exists() else []


def show(place: Path, setting: dict) -> None:
    """Means over the seeds, and the range of the analogies; of what was measured twice the last counts."""
    found = {}
    for one in read(place):
        if setting.items() <= one.items():
            found.setdefault((one["objective"], one["program"]), {})[one["seed"]] = one
    rows = []
    for name, objective in OBJECTIVES.items():
        means = {}
        for program in PROGRAMS:
            runs = list(found.get((name, program), {}).values())
            if not runs:
                continue
            means[program] = {figure: statistics.fmean(one[figure] for one in runs) for figure in FIGURES}
            solved = [100 * one["analogies"] for one in runs]
            cells = [f"{100 * means[program][figure]:.2f}" for figure in FIGURES[:3]]
            cells.insert(1, f"{min(solved):.2f}-{max(solved):.2f}")
            cells += [f"{means[program][figure]:.4f}" for figure in PAIRS]
            seconds = statistics.median(one["seconds"] for one in runs)
            rows.append([objective.title, program, len(runs), *cells, f"{seconds:.0f}"])
        rows += differences(objective.title, means)
    header = ["", "", "seeds", "analogies, %", "lowest-highest", "semantic", "syntactic", *PAIRS, "seconds"]
    table(header, rows)
    commits = sorted({one["commit"] for runs in found.values() for one in runs.values() if "commit" in one})
    words, epochs, size = setting["words"], setting["epochs"], setting["size"]
    print(f"\nw2v at {', '.join(commits) or '-'}; {words:,} words, epochs: {epochs}, d={size}", flush=True)


def differences(title: str, means: dict[str, dict]) -> list[list]:
    """How far ours are from the better of the peers."""
    peers = [means[program] for program in PEERS if program in means]
    if not peers:
        return []
    rows = []
    for program in filter(means.get, OURS):
        gaps = {figure: means[program][figure] - max(peer[figure] for peer in peers) for figure in FIGURES}
        cells = [f"{100 * gaps[figure]:+.2f}" for figure in FIGURES[:3]]
        cells.insert(1, "")
        rows.append([title, f"{program} - the better", "", *cells, *(f"{gaps[one]:+.4f}" for one in PAIRS), ""])
    return rows
