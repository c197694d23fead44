"""``OUTPUT.checkpoint``: all that an interrupted run needs to go on, in a native vector file.

Its matrices are the file's tensors, its words and counts the file's vocabulary; settings, progress and what tells the
same text from another are JSON beside them.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corpora.errors import CorpusError, FormatError
from corpora.files.checks import shown
from corpora.jobs.record import Record, made_of, require, require_types
from corpora.jobs.resumable import output_of
from corpora.settings import require_same
from corpora.text.inputs import STDIN
from corpora.text.tokenizers import from_spec
from corpora.text.vocab import Vocab, WordList
from w2v import io
from w2v.config import TrainConfig
from w2v.model import WordVectors

KEY = "checkpoint"  # in the file's metadata of training; only checkpoints have it
# what must be the same for a run to be gone on with, beside the configuration
FIXED = ("tokenizer", "vocab", "min_count", "max_vocab", "init", "grow_vocab")


@dataclass(frozen=True)
class Settings(Record):
    """What a run reads and writes.  Paths are absolute, but for ``-``, so that it can be resumed from anywhere.

    ``tokenizer``: name or name+lower.  ``classes``: of k-means to write in place of vectors, 0: vectors.
    ``threads``: None, if as many as there are processors.
    """

    text: list[str]
    tokenizer: str = "whitespace"
    vocab: str | None = None
    min_count: int = 5
    max_vocab: int | None = None
    init: str | None = None
    grow_vocab: bool = False
    format: str = "native"
    classes: int = 0
    log: str | None = None
    save_vocab: str | None = None
    threads: int | None = None


def unusable(path: str, error: Exception, remedy: str = "`force` starts over") -> FormatError:
    """A checkpoint whose content does not fit this program: damaged, or of another version."""
    found = shown(error.reason if isinstance(error, FormatError) else str(error), 100)
    return FormatError(path, None, f"damaged, or of another version of w2v train ({found}): {remedy}")


def absolute(path: str | None) -> str | None:
    """A path, or a pattern, that means the same in every working directory."""
    return path if path is None or path == STDIN else os.path.abspath(path)


def sums(ids: np.ndarray, vocab: Vocab) -> dict:
    """What tells this text from others: its size, and checksums of its ids and of the words."""
    words = zlib.crc32(np.ascontiguousarray(vocab.words.blob), zlib.crc32(np.ascontiguousarray(vocab.counts)))
    return {"ids": int(ids.size), "ids_crc32": zlib.crc32(np.ascontiguousarray(ids)), "words_crc32": words}


@dataclass
class Checkpoint:
    """``progress``: the fields of ``w2v.trainer.Progress``.  ``history``: the reports of the epochs so far."""

    path: str
    config: TrainConfig
    settings: Settings
    vectors: WordVectors
    progress: dict
    history: list[dict]
    sums: dict

    @cached_property
    def vocab(self) -> Vocab:
        """The words of the run, as a copy: the file is replaced while they are in use."""
        words = self.vectors.words
        vocab = Vocab(WordList(words.blob.copy(), words.offsets.copy()), self.vectors.counts.copy())
        vocab.path = self.path
        return vocab

    def save(self) -> None:
        kept = {"settings": self.settings.to_dict(), "progress": self.progress, "sums": self.sums}
        training = {"config": self.config.to_dict(), "history": self.history, KEY: kept}
        it = self.vectors
        vectors = WordVectors(it.words, it.vectors, it.counts, training=training, state=it.state)
        io.save(vectors, self.path, "native", like=output_of(self.path))  # nobody may read more here than there

    @classmethod
    def load(cls, path: str) -> Checkpoint:
        """FormatError where the file is not a checkpoint, or one of another version."""
        if not os.path.exists(path):
            raise CorpusError(f"{path}: no such file; there is no interrupted run to go on with")
        vectors = io.load(path)
        kept = vectors.training.get(KEY)
        if kept is None:
            raise FormatError(path, None, "not a checkpoint of w2v train; `force` replaces it")
        from w2v.objectives import chosen  # which take time to load
        from w2v.trainer import Progress

        try:
            require_types(kept, {"progress": dict, "sums": dict})
            history = vectors.training["history"] or []
            for line in history:
                require_types(line, {"words_done": int})
            made_of(Progress, kept["progress"])
            found = cls(
                path, TrainConfig.from_dict(vectors.training["config"]), Settings.from_dict(kept["settings"]), vectors,
                kept["progress"], history, kept["sums"],
            )  # fmt: skip
            from_spec(found.settings.tokenizer)
            require(bool(found.settings.text), "it names no text")
            matrices = [vectors.vectors, *(vectors.state[each.matrix] for each in chosen(found.config).values())]
            for matrix in matrices:
                require(matrix.shape == (len(vectors), found.config.size), f"a matrix is {matrix.shape}")
            found.vocab  # noqa: B018 - ValueError unless it begins with </s>
            return found
        except (KeyError, ValueError, CorpusError) as error:
            raise unusable(path, error) from error

    def require_same(self, config: TrainConfig, settings: Settings) -> None:
        """CorpusError where a run of these settings would not be the one that was interrupted."""
        ours, theirs = config.to_dict(), self.config.to_dict()
        for name in FIXED:
            ours[name], theirs[name] = getattr(settings, name), getattr(self.settings, name)
        require_same(self.path, TrainConfig, ours, theirs)

    def is_of(self, ids: np.ndarray) -> bool:
        """Whether this is the text of the run, encoded with its words."""
        return sums(ids, self.vocab) == self.sums

    def require_same_text(self, ids: np.ndarray) -> None:
        if not self.is_of(ids):
            raise CorpusError(
                f"{self.path}: of a run on another text: give the same text to go on, or `force` to start over"
            )
