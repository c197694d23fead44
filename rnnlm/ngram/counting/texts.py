"""The n-grams of texts, counted in memory or, where they do not fit, in files: what that needs is foreseen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from corpora.errors import CorpusError
from corpora.files.mapping import discard
from corpora.jobs.system import available_memory, readable_size, trim_memory
from corpora.text.inputs import expand, text_size
from corpora.text.spool import MEMORY_LIMIT
from corpora.text.stream import TokenStream, default_threads, encode, expected_tokens
from corpora.text.tokenizers import from_spec
from corpora.text.vocab import Vocab
from rnnlm.ngram.arena import Arena
from rnnlm.ngram.counting.counts import CountedTrie, count_ids
from rnnlm.ngram.counting.vocabulary import by_bytes, by_count, inverse, reverse, with_unk
from rnnlm.ngram.trie import MAX_WORDS

PROGRAM = 160 << 20  # bytes: Python, NumPy and the compiled kernels
_BASE = 180 << 20  # bytes: that, and the tables of a vocabulary that is not large
_MIN_SCRATCH = 24 << 20
_TO_SORT = 3  # bytes for a token, however little is sorted at a time: n-grams that begin alike are sorted together
_OTHERWISE = 200 << 20  # bytes: what sorting takes beyond what grows with the text
_A_WORD = 140  # bytes of memory that a word of the vocabulary takes, in whatever table
_A_THREAD = 48 << 20  # bytes that a thread takes, at most: its own records and tables of words
_PAGES = 24 << 20  # bytes of files that are mapped at a time


def count_texts(
    texts: Sequence[str],
    order: int,
    *,
    unk: str = "word",
    vocab_file: str | None = None,
    tokenizer: str = "whitespace",
    memory: int | None = None,
    budget: int | None = None,
    threads: int = 1,
    tmp: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable = lambda what, total: lambda n: None,
    backwards: bool = False,
    continuation: bool = False,
) -> tuple[Vocab, CountedTrie, int]:
    """The vocabulary (with ``<unk>``), the counts of all n-grams, and the number of tokens of texts.

    ``backwards``: the text is counted from its end, so that paths in the trie go from the oldest word to the
    newest; START is then ``</s>``, and the vocabulary's ``</s>`` stands for ``<s>``.  Internal ids of the
    other words ascend as their bytes do.  ``continuation``: as in ``CountedTrie``.
    """
    budget = budget or memory or free_memory()
    given = None if vocab_file is None else with_unk(Vocab.read(vocab_file))
    files, split = expand(texts), from_spec(tokenizer)
    size = text_size(files)
    needs = _Needs(order, memory, budget, tmp, say)
    if size is not None and not needs.fit(4 * size):  # compressed files are larger than they say
        needs.foresee(*expected_tokens(files, split))
    readers = min(needs.readers(threads), default_threads(size, split))
    with encode(
        texts, split, given, keep_oov=unk == "kenlm", threads=readers, tmp=tmp,
        progress=progress("reading", size), memory_limit=needs.for_ids,
    ) as stream:  # fmt: skip
        _refuse_start(stream, texts)
        vocab = with_unk(stream.vocab)
        rename = None
        if given is not None:
            vocab = vocab.with_counts(stream.counts())
        else:
            vocab, old_ids = (by_bytes if backwards else by_count)(vocab.words, vocab.counts)
            rename = inverse(old_ids)
        if len(vocab) > MAX_WORDS:
            raise CorpusError(f"{len(vocab)} different words; {MAX_WORDS} are possible: a `vocab` with fewer helps")
        if unk == "kenlm" and (id_ := stream.vocab.unk_id) >= 0:
            n_gaps = _make_gaps(stream, id_)
            if n_gaps:
                words, they = ("word", "is <unk>: it is") if n_gaps == 1 else ("words", "are <unk>: they are")
                say(f"Warning: {n_gaps} {words} of the text {they} not counted (`unk` word counts <unk>)")
        n = stream.n_tokens
        batch, arena, sorters = needs.plan(stream.ids, len(vocab), threads)
        if arena.spill:
            trim_memory()  # what reading has left
        if arena.spill and isinstance(stream.ids, np.memmap):
            arena.keep(stream.ids)
        if backwards:
            reverse(stream.ids[:-1])  # the last one ends the last sentence, now the first one
        with arena.watched():
            counted = count_ids(
                stream.ids, len(vocab), order, rename=rename, threads=threads, sorters=sorters, arena=arena,
                batch=batch, transitions=not backwards, continuation=continuation, progress=progress("counting", n),
            )  # fmt: skip
        discard(stream.ids)
        if arena.spill:
            trim_memory()
        return vocab, counted, n


def _refuse_start(stream: TokenStream, texts: Sequence[str]) -> None:
    id_ = stream.vocab.words.find(b"<s>")  # a look-up would make a table of all words
    sentence = 1
    for block in stream.blocks() if id_ >= 0 else ():
        if len(at := np.flatnonzero(block == id_)):
            sentence += int(np.count_nonzero(block[: at[0]] == 0))
            raise CorpusError(
                f"{', '.join(texts)}: sentence {sentence} has the word <s>, which is what sentences begin with anyway; "
                "take <s> and </s> out of the text"
            )
        sentence += int(np.count_nonzero(block == 0))


def _make_gaps(stream: TokenStream, unk_id: int) -> int:
    n = 0
    for block in stream.blocks():
        gaps = block == unk_id
        n += int(gaps.sum())
        block[gaps] = -1
    return n


class _Needs:
    """What counting takes of memory and of the space for temporary files."""

    def __init__(self, order: int, memory: int | None, budget: int, tmp: str | None, say: Callable[[str], None]):
        self._memory, self._budget, self._tmp, self._say = memory, budget, tmp, say
        # bytes: ids, positions, records, nodes, marks of what cutoffs leave out
        self._a_token = 3 * 4 + (16 * (order - 2) + 8 if order > 1 else 0) + 2 * order
        self.for_ids = MEMORY_LIMIT if memory is None else max((memory - _BASE) // 4, 0)  # bytes of them in memory
        self._directory = Arena(directory=tmp).directory
        self._told = False

    def fit(self, n: int) -> bool:
        """Whether n tokens can be counted in memory alone."""
        return _BASE + n * self._a_token + _OTHERWISE <= self._budget

    def foresee(self, n: int, certain: int) -> None:
        """Before the text is read: say what about n tokens take; refuse what ``certain`` tokens are too many for."""
        if self.fit(n):
            if certain * 4 > self.for_ids:
                self._check_space(certain * 4, "the encoded text")
            return
        self._check_memory(certain, 0)
        self._tell(n, "about ")
        self._check_space(certain * self._a_token, "n-grams")

    def readers(self, threads: int) -> int:
        """How many threads read the text, each with tables of its words."""
        return min(threads, max((self._budget - _BASE) // (2 * _A_THREAD), 1))

    def plan(self, ids: np.ndarray, n_words: int, threads: int) -> tuple[int | None, Arena, int]:
        """How many positions of the encoded text are sorted at a time, where nodes live, and how many threads sort."""
        n = ids.size
        if self.fit(n):
            return None, Arena(), threads
        self._check_memory(n, n_words)
        self._tell(n, "")
        self._check_space(n * self._a_token - (ids.nbytes if isinstance(ids, np.memmap) else 0), "n-grams")
        room = max(self._budget - PROGRAM - n_words * _A_WORD - _PAGES, _PAGES)
        arena = Arena(True, self._tmp, self._budget - _PAGES, room)
        return max(room // 22, 1 << 19), arena, min(threads, max(room * 2 // 3 // _A_THREAD, 1))

    def _tell(self, n: int, about: str) -> None:
        if not self._told:
            self._say(f"n-grams go to files in {self._directory}: up to {about}{readable_size(n * self._a_token)}")
        self._told = True

    def _check_memory(self, n: int, n_words: int) -> None:
        least = PROGRAM + _MIN_SCRATCH + n * _TO_SORT + n_words * _A_WORD
        if self._memory is not None and self._budget < least:
            memory, least = self._memory // (1 << 20), -(-least // (1 << 20))
            raise CorpusError(f"`memory` {memory}M is too little for this text: {least}M at least")

    def _check_space(self, need: int, what: str) -> None:
        import shutil

        try:
            free = shutil.disk_usage(self._directory).free
        except OSError as error:
            raise CorpusError(f"{self._directory}: {error.strerror}; `tmp` names another directory") from error
        if free < need:
            raise CorpusError(
                f"{self._directory}: {readable_size(free)} are free, up to {readable_size(need)} are needed for "
                f"{what}; `tmp` names another directory"
            )


def free_memory() -> int:
    """Three quarters of what is left, as far as the system tells."""
    left = available_memory()
    return 4 << 30 if left is None else left * 3 // 4
