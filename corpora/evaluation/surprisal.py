"""The table that is joined with reading times: surprisal and entropy of every word, under one or several models.

One row per token of the text, in its order; columns, in this order:

======================  ==========================================================================
``sentence``            1, 2, ...: the line of the text
``position``            1, 2, ... in the sentence; the sentence end ``</s>`` has the last one
``word``                as it stands in the text; ``</s>`` for a sentence end
``oov``                 1 if the word is outside the vocabulary (of any of the models), else 0
``surprisal``           -log2 P(word | what came before), bits
``entropy``             of the distribution of the next word *before* the word is read, bits
``entropy_reduction``   max(0, entropy before the word - entropy after it), bits
======================  ==========================================================================

With several models the last three appear for each, as ``surprisal_NAME``, ``entropy_NAME`` and
``entropy_reduction_NAME``, after ``oov_NAME``, its own flag.

The entropy after a word is that before the next token of its sentence, ``</s>`` included; so the
reduction is not defined for ``</s>`` itself, and empty there.  It takes the uncertainty about the
next word for that about the rest of the sentence, which Hale (2006) reduces and which has no
closed form for a recurrent network (Frank 2013 compares how far ahead to look).

A cell is empty (null in JSON) where a model has no value: the reduction at ``</s>``, the surprisal
of an OOV that the policy skips, entropies of a model that does not compute them.  The surprisal of
a word with zero probability is ``inf`` (null in JSON).  Numbers have six decimals.

Hale, J. (2006). Uncertainty about the rest of the sentence. Cognitive Science 30, 643-672.
Frank, S. L. (2013). Uncertainty reduction as a measure of cognitive load in sentence comprehension.
Topics in Cognitive Science 5, 475-494.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from corpora.evaluation.language_model import LanguageModel
from corpora.evaluation.perplexity import BLOCK, FLOOR, Block, check_policy, score_blocks
from corpora.evaluation.table_writer import TableWriter, WordPositions
from corpora.text.vocab import UNK

if TYPE_CHECKING:
    from corpora.text.stream import TokenStream

NUMBER = b"%.6f"
MEASURES = ("surprisal", "entropy", "entropy_reduction")


def model_names(paths: Sequence[str | os.PathLike]) -> list[str]:
    """A name for the columns of each model file: its own without folder and ending, and a number if it is taken.

    Only letters, digits, ``_``, ``.`` and ``-`` stay, so that any program can address the column.
    """
    names: list[str] = []
    for path in paths:
        stem = os.path.splitext(os.path.basename(os.fspath(path)))[0]
        name = first = re.sub(r"[^\w.-]", "_", stem) or "model"
        number = 2
        while name in names:
            name, number = f"{first}_{number}", number + 1
        names.append(name)
    return names


def column_formats(names: Sequence[str]) -> dict[str, bytes | None]:
    """The columns of the table in their order, with the %-format of their numbers."""
    columns: dict[str, bytes | None] = {"sentence": b"%d", "position": b"%d", "word": None, "oov": b"%d"}
    for name in names:
        suffix = f"_{name}" if len(names) > 1 else ""
        if suffix:
            columns[f"oov{suffix}"] = b"%d"
        columns |= dict.fromkeys((f"{measure}{suffix}" for measure in MEASURES), NUMBER)
    return columns


def surprisal_table(
    models: dict[str, LanguageModel],
    stream: TokenStream,
    sink: BinaryIO,
    *,
    form: str = "tsv",
    oov: str | None = None,
    floor: float = FLOOR,
    sentence_ends: bool = True,
    on_block: Callable[[Block], None] | None = None,
    block_size: int = BLOCK,
) -> None:
    """Write the table of a text, which was encoded with a vocabulary of its own, block after block.

    ``form``: tsv or json (lines).  ``oov``, ``floor``: as in ``evaluate``; None: an OOV is ``<unk>``
    for a model that has one, and its cell empty for another.  ``sentence_ends``: False leaves out
    the rows of ``</s>``.  ``on_block`` gets the blocks of the first model.  Raises as ``evaluate``.
    """
    if not models:
        raise ValueError("no model to take surprisals from")
    policies = [oov or ("unk" if lm.vocab.unk_id >= 0 else "skip") for lm in models.values()]
    for lm, policy in zip(models.values(), policies, strict=True):
        check_policy(lm, policy, floor)
    table = _Table(sink, column_formats(list(models)), form, [*stream.vocab.words, UNK], sentence_ends)
    waiting = None  # the entropy after the last word of a block is the first one of the next block
    for blocks in zip(
        *(
            score_blocks(lm, stream, oov=policy, floor=floor, entropy=True, block_size=block_size)
            for lm, policy in zip(models.values(), policies, strict=True)
        ),
        strict=True,
    ):
        if waiting is not None:
            table.write(waiting, blocks)
        waiting = blocks
        if on_block is not None:
            on_block(blocks[0])
    if waiting is not None:
        table.write(waiting, None)
    table.writer.close()


class _Table:
    def __init__(self, sink, columns, form, words, sentence_ends):
        self.writer = TableWriter(sink, columns, form, words)
        self.positions = WordPositions()
        self.sentence_ends = sentence_ends

    def write(self, blocks: Sequence[Block], following: Sequence[Block] | None) -> None:
        """Write the rows of a block, one Block for each model; ``following`` are those of the next one."""
        first = blocks[0]
        columns = [*self.positions.number(len(first), first.ends), first.ids]
        columns.append(np.logical_or.reduce([block.scored.oov for block in blocks]).astype(np.int8))
        for k, block in enumerate(blocks):
            if len(blocks) > 1:
                columns.append(block.scored.oov.astype(np.int8))
            columns += measures(block, following[k] if following else None)
        if not self.sentence_ends:
            words = first.ids != 0
            columns = [column[words] for column in columns]
        self.writer.write(*columns)


def measures(block: Block, following: Block | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """surprisal, entropy, entropy_reduction (n,) float64, bits; NaN where there is no value.

    ``following``: the next block, which the entropy after a last word comes from that ends no sentence.
    """
    surprisal = -block.log10_prob * math.log2(10)
    surprisal[block.left_out & block.by_policy] = np.nan
    if block.scored.entropy_bits is None:
        entropy = np.full(len(block), np.nan)
    else:
        entropy = np.array(block.scored.entropy_bits, np.float64)
    after = np.full(len(block), np.nan)
    after[:-1] = entropy[1:]
    if following is not None and following.scored.entropy_bits is not None:
        after[-1] = following.scored.entropy_bits[0]
    after[block.ends] = np.nan
    reduction = np.maximum(0.0, entropy - after)
    for values in (surprisal, entropy, reduction):
        values[np.abs(values) < 5e-7] = 0.0  # or rounding errors of a certain word would print as -0.000000
    return surprisal, entropy, reduction
