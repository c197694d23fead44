"""Probabilities that some other program gave to the words of a text, as a model of that text alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from corpora.errors import CorpusError, FormatError
from corpora.evaluation.language_model import ANY_TOKENIZER, LanguageModel, Scored
from corpora.files.checks import shown
from corpora.text.vocab import Vocab

if TYPE_CHECKING:
    from corpora.text.stream import TokenStream

_BLOCK = 1 << 20  # tokens


class PlayedBack(LanguageModel):
    """The probabilities of one text, played back.  Its state is the position in the text.

    ``expected`` (n,) int32: the words in ``vocab``, the file's own; -1 where the file does not say, and then any word
    will do, as where it says ``<unk>``.  ``log10_prob`` (n,), ``oov`` (n,), ``lines`` (n,): where in the file.
    It takes the words of that text only, in their order: anything else is a FormatError with the line of the file.
    A whole distribution is a CorpusError; entropies are None.
    """

    tokenizer = ANY_TOKENIZER
    has_distributions = False

    def __init__(
        self,
        path: str,
        vocab: Vocab,
        expected: np.ndarray,
        log10_prob: np.ndarray,
        oov: np.ndarray,
        lines: np.ndarray,
    ):
        self.path, self.vocab, self.expected = path, vocab, expected
        self.log10_prob, self.oov, self.lines = log10_prob, oov, lines

    def __len__(self) -> int:
        return self.log10_prob.size

    def start(self) -> int:
        return 0

    def score(self, words: Sequence[bytes | str], state: int) -> tuple[Scored, int]:
        """The probabilities of the next ``words`` of the text."""
        return self._play(self.vocab.ids(words), state, words.__getitem__)

    def score_ids(self, ids: np.ndarray, state: int, *, entropy: bool = False) -> tuple[Scored, int]:
        """As ``score``, of ids (n,) int32 in ``vocab``, -1 for a word that the file lacks."""
        ids = np.asarray(ids, np.int32)
        return self._play(ids, state, lambda i: self.vocab.words[int(ids[i])] if ids[i] >= 0 else None)

    def distribution(self, state: int) -> np.ndarray:
        raise CorpusError(f"{self.path}: probabilities of one text, which tell nothing of other words than its own")

    def check_text(self, stream: TokenStream) -> None:
        """Raise FormatError unless the file is about this text: as many tokens, and the same words."""
        words = stream.vocab.words
        own_ids = self.vocab.translation(words)
        for start in range(0, min(stream.n_tokens, len(self)), _BLOCK):
            ids = stream.ids[start : min(start + _BLOCK, len(self))]
            self._check_words(own_ids[ids], start, lambda i, ids=ids: words[int(ids[i])] if ids[i] >= 0 else None)
        if stream.n_tokens != len(self):
            found = f"{len(self)} probabilities for a text of {stream.n_tokens} words and sentence ends"
            raise FormatError(self.path, None, found)

    def _play(self, ids: np.ndarray, state: int, word_at: Callable) -> tuple[Scored, int]:
        after = state + ids.size
        part = slice(state, after)
        self._check_words(ids[: len(self) - state], state, word_at)
        if after > len(self):
            last = int(self.lines[-1]) if len(self) else None
            raise FormatError(self.path, last, f"the last of {len(self)} probabilities; the text has more words")
        oov = self.oov[part]
        if self.vocab.unk_id >= 0:  # <unk> in the file for a word that is not <unk> itself
            oov = oov | ((self.expected[part] == self.vocab.unk_id) & (ids != self.vocab.unk_id))
        return Scored(self.log10_prob[part].copy(), oov.copy()), after

    def _check_words(self, ids: np.ndarray, state: int, word_at: Callable) -> None:
        """Compare ids (m,) of ``vocab`` with what is expected from ``state`` on; ``word_at(i)``: the word, or None."""
        expected = self.expected[state : state + ids.size]
        differ = (ids != expected) & (expected >= 0)
        if self.vocab.unk_id >= 0:
            differ &= (expected != self.vocab.unk_id) | (ids == 0)
        if not differ.any():
            return
        i = int(differ.argmax())
        word = word_at(i)
        found = "another word" if word is None else f'"{shown(word)}"'
        wanted = shown(self.vocab.words[int(expected[i])])
        reason = f'the probability of "{wanted}", where word {state + i + 1} of the text is {found}'
        raise FormatError(self.path, int(self.lines[state + i]), reason)
