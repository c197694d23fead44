"""Vocabularies: words, counts, look-up, and the list files of word2vec and SRILM.  V words.

Word 0 is always the sentence end ``</s>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import BinaryIO

import numpy as np

from corpora.errors import FormatError
from corpora.text.inputs import open_text, text_lines
from corpora.text.vocab_order import MAX_TYPES, select
from corpora.text.words import EOS, UNK, WordList

__all__ = ["EOS", "FORMS", "MAX_TOTAL", "UNK", "Vocab", "WordList", "read_list", "require_counts"]

FORMS = ("word2vec", "srilm")
MAX_TOTAL = 1 << 62  # of the counts: tables and trees are made of sums of them


def require_counts(counts: np.ndarray) -> None:
    """ValueError unless all counts are 0 or above, and few enough for their sum."""
    if counts.min(initial=0) < 0:
        raise ValueError("vocabulary: a count is below 0")
    if counts.sum(dtype=np.float64) >= MAX_TOTAL:
        raise ValueError("vocabulary: the counts add up to more than 2^62")


class Vocab:
    """The words of a model or a text, the sentence end first; counts (V,) int64."""

    def __init__(self, words: Sequence[bytes], counts: Sequence[int] | np.ndarray | None = None):
        """``words``: distinct, ``</s>`` first.  ``counts``: 0 where they are not known."""
        words = words if isinstance(words, WordList) else WordList.of(words)
        self.words = words
        self.counts = np.zeros(len(words), np.int64) if counts is None else np.asarray(counts, np.int64)
        if not len(words) or words[0] != EOS:
            raise ValueError("a vocabulary begins with </s>")
        if self.counts.shape != (len(words),):
            raise ValueError(f"{len(words)} words with {self.counts.size} counts")
        if len(words) > MAX_TYPES:
            raise ValueError(f"{len(words)} words; at most {MAX_TYPES} are possible")
        require_counts(self.counts)
        self.path: str | None = None  # of the file it is from, for messages

    @classmethod
    def from_counts(
        cls,
        words,
        counts,
        *,
        min_count: int = 1,
        max_size: int | None = None,
        order: str = "first",
        rare: str = "unk",
    ):
        """A vocabulary of words in the order of their first appearance, sorted by count.

        order "first": ties stay in order of first appearance; "rnnlm": as rnnlm 0.4b's unstable
        selection sort leaves them.  ``</s>`` comes first whatever its count.  Words below
        ``min_count``, and the rarest beyond ``max_size`` words (``</s>`` and ``<unk>`` included),
        become ``<unk>``: the result is that of the text with ``<unk>`` in their places.
        rare "drop": they are left out, as word2vec.c leaves them out, and no ``<unk>`` is made; one that
        is in the text is a word like others.
        """
        words = words if isinstance(words, WordList) else WordList.of(words)
        return cls.arrange(words, counts, min_count=min_count, max_size=max_size, order=order, rare=rare)[0]

    @classmethod
    def arrange(cls, words: WordList, counts, *, min_count=1, max_size=None, order="first", rare="unk"):
        """As ``from_counts``; also the new id of every old one, (n,) int32: of a rare word that of ``<unk>``, or -1."""
        eos, unk = words.find(EOS), words.find(UNK)
        chosen, new_counts, new_id = select(
            counts, eos, unk, min_count=min_count, max_size=max_size, order=order, n_words=len(words), rare=rare
        )
        # what `words` may lack is appended to it: <unk> at position n, </s> at n + 1
        extended = WordList(
            np.concatenate([words.blob, np.frombuffer(UNK + EOS, np.uint8)]),
            np.concatenate([words.offsets, words.offsets[-1] + np.array([len(UNK), len(UNK + EOS)])]),
        )
        return cls(extended.take(chosen), new_counts), new_id

    @classmethod
    def from_arrays(cls, blob: np.ndarray, offsets: np.ndarray, counts: np.ndarray) -> Vocab:
        """The vocabulary over the arrays of a model file, which are not copied.  ValueError where they do not fit."""
        if blob.dtype != np.uint8 or offsets.dtype != np.int64 or blob.ndim != 1 or offsets.ndim != 1:
            raise ValueError("vocabulary: words of uint8 and offsets of int64 are needed")
        if offsets.size < 2 or offsets[0] != 0 or offsets[-1] != blob.size or (offsets[1:] <= offsets[:-1]).any():
            raise ValueError("vocabulary: the offsets do not fit the words")
        return cls(WordList(blob, offsets), counts)

    def to_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """blob (n,) uint8 and offsets (V + 1,) int64: word i is blob[offsets[i]:offsets[i + 1]]."""
        return self.words.blob, self.words.offsets

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: bytes | str) -> bool:
        return self.index(word) >= 0

    def __eq__(self, other) -> bool:
        """The same words in the same order; counts may differ."""
        if not isinstance(other, Vocab):
            return NotImplemented
        return all(np.array_equal(a, b) for a, b in zip(self.to_arrays(), other.to_arrays(), strict=True))

    __hash__ = None

    def __repr__(self) -> str:
        return f"Vocab({len(self)} words, {self.total} tokens)"

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        ids = {word: i for i, word in enumerate(self.words)}
        if len(ids) != len(self):
            raise self.repetition()
        return ids

    @cached_property
    def _table(self):
        """As ``_ids``, for many words at once."""
        from corpora.text.word_hash import WordHash

        try:
            return WordHash.of(self.words)
        except ValueError as error:
            raise self.repetition() from error

    def repetition(self) -> FormatError:
        """The error that one of the words is there twice."""
        seen: set[bytes] = set()
        word = next((word for word in self.words if word in seen or seen.add(word)), b"")
        return FormatError(self.path or "vocabulary", None, f"the word {_shown(word)} is there twice")

    def index(self, word: bytes | str) -> int:
        """The id of a word, -1 where it is not in the vocabulary."""
        return self._ids.get(_as_bytes(word), -1)

    def ids(self, words: Sequence[bytes | str]) -> np.ndarray:
        """The ids of n words, (n,) int32; -1: not in the vocabulary."""
        if isinstance(words, WordList):
            return self._table.ids(words)
        get = self._ids.get
        return np.fromiter((get(_as_bytes(word), -1) for word in words), np.int32, len(words))

    def translation(self, words: Sequence[bytes]) -> np.ndarray:
        """(n + 1,) int32: the ids here of the n words of another vocabulary, and last what its id -1 finds: -1."""
        return np.append(self.ids(words), -1).astype(np.int32)

    @cached_property
    def unk_id(self) -> int:
        """The id of ``<unk>``, or -1."""
        return self.words.find(UNK)

    def with_unk(self, ids: np.ndarray) -> np.ndarray:
        """ids (n,) int32, with that of ``<unk>``, if there is one, in place of -1."""
        return ids if self.unk_id < 0 else np.where(ids < 0, np.int32(self.unk_id), ids)

    @cached_property
    def total(self) -> int:
        """The sum of the counts."""
        return int(self.counts.sum())

    def with_counts(self, counts: np.ndarray) -> Vocab:
        """The same words, with the counts (V,) of another text."""
        return Vocab(self.words, counts)

    def write(self, file: BinaryIO, form: str = "word2vec") -> None:
        """Write one word per line, with its count (word2vec's form) or alone (SRILM's)."""
        if form not in FORMS:
            raise ValueError(f"vocabulary form {form}: one of {', '.join(FORMS)}")
        if form == "srilm":
            file.writelines(word + b"\n" for word in self.words)
        else:
            file.writelines(b"%b %d\n" % pair for pair in zip(self.words, self.counts.tolist(), strict=True))

    @classmethod
    def read(cls, path: str) -> Vocab:
        """Read a list of words with or without counts, in its order; ``</s>`` is moved or added to the front.

        FormatError with the line's number for a word given twice, a bad count, and anything else in a line.
        """
        words = read_list(path)
        eos_count = words.pop(EOS, 0)
        try:
            return cls([EOS, *words], [eos_count, *words.values()])
        except ValueError as error:
            raise FormatError(path, None, str(error)) from error


def read_list(path: str) -> dict[bytes, int]:
    """The words of a list with their counts (0 if it has none), in its order; errors as those of ``Vocab.read``."""
    words: dict[bytes, int] = {}
    width = None
    with open_text(path) as file:
        for number, line in enumerate(text_lines(path, file), 1):
            fields = line.rstrip(b"\r\n").replace(b"\t", b" ").split(b" ")
            fields = [field for field in fields if field]
            if not fields:
                continue
            width = width or len(fields)
            if len(fields) != width or width > 2:
                wanted = '"word count"' if width == 2 else "one word"
                raise FormatError(path, number, f"expected {wanted} a line, found {len(fields)} fields")
            if fields[0] in words:
                raise FormatError(path, number, f"the word {_shown(fields[0])} is there twice")
            words[fields[0]] = _count(path, number, fields[1]) if width == 2 else 0
    if not words:
        raise FormatError(path, None, "no words")
    return words


def _count(path: str, number: int, field: bytes) -> int:
    if not field.isdigit() or len(field) > 99 or int(field) >= 1 << 63:
        raise FormatError(path, number, f'expected a count after the word, found "{_shown(field)}"')
    return int(field)


def _shown(word: bytes) -> str:
    text = word.decode("utf-8", "backslashreplace")
    return text if len(text) <= 40 else text[:37] + "..."


def _as_bytes(word: bytes | str) -> bytes:
    return word if isinstance(word, bytes) else word.encode("utf-8", "surrogateescape")
