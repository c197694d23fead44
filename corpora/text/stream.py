"""Text encoded once to word ids: a vocabulary is learnt from it, or given.

Tokens are what spaces and tabs separate (after the tokenizer), every line ends in ``</s>`` (id 0),
empty lines and a last line without newline as well.  A literal ``</s>`` in the text is a sentence
end, too, as in the C tools; a literal ``<unk>`` is the unknown word, unless rare words are dropped;
``<s>`` is a word like others.  Carriage returns are dropped; NUL and bytes that are not UTF-8 are
parts of words.

The text is read once, in pieces that threads encode as they come free, each thread into a hash table
of its own.  The tables are merged by first appearance, so that the number of threads cannot be seen
in the result.  A tokenizer holds Python's lock, so that each thread has a process for it (``workers``)
where a text is large enough.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from corpora.compute.processors import available
from corpora.errors import CorpusError
from corpora.files.mapping import give_back
from corpora.text.chunks import PADDING, ChunkReader
from corpora.text.inputs import expand, is_compressed, sample, text_size
from corpora.text.spool import Spool
from corpora.text.tokenizers import Tokenizer
from corpora.text.vocab import UNK, Vocab, WordList
from corpora.text.vocab_order import select
from corpora.text.workers import Workers

if TYPE_CHECKING:
    from corpora.text.word_hash import WordHash

CHUNK = 1 << 19  # bytes: the text and its ids stay in the second cache level
_WORTH_THREADS = 1 << 23  # bytes of text
_SCAN_BLOCK = 1 << 20  # ids
_SAMPLE = 1 << 21  # bytes of text
_SLOW_SAMPLE = 1 << 17  # bytes of it that go through a tokenizer
_PACKED_TOKEN = 5  # bytes of a compressed file that hold a token at least


class TokenStream:
    """An encoded text.

    ids (n_tokens,) int32, in memory or mapped from a file, 0: ``</s>``, -1: not in the vocabulary.
    n_oov counts the words that are not in the vocabulary, whether they are -1 or ``<unk>`` in ids.
    text_bytes is the size of the text, decompressed.  ``close`` (or leaving the context) gives the
    ids back; their file is gone by then, whatever happens to the process.
    """

    def __init__(self, spool: Spool, vocab: Vocab, n_sentences: int, n_oov: int, text_bytes: int):
        self._spool = spool
        self.ids = spool.array()
        self.vocab = vocab
        self.n_tokens = self.ids.size
        self.n_sentences, self.n_oov, self.text_bytes = n_sentences, n_oov, text_bytes

    def sentence_ends(self) -> np.ndarray:
        """The positions (n_sentences,) int64 of the sentence ends."""
        starts = range(0, self.n_tokens, _SCAN_BLOCK)
        ends = [np.flatnonzero(block == 0) + start for start, block in zip(starts, self.blocks(), strict=True)]
        return np.concatenate(ends).astype(np.int64)

    def counts(self) -> np.ndarray:
        """How often each word of the vocabulary is in this text, (V,) int64."""
        counts = np.zeros(len(self.vocab), np.int64)
        for block in self.blocks():
            counts += np.bincount(block[block >= 0], minlength=counts.size)
        return counts

    def blocks(self) -> Iterator[np.ndarray]:
        """The ids in blocks that may be changed; those of a file need not be in memory together."""
        for start in range(0, self.n_tokens, _SCAN_BLOCK):
            block = self.ids[start : start + _SCAN_BLOCK]
            yield block
            _give_back(block)

    def close(self) -> None:
        self.ids = None
        self._spool.close()

    def __enter__(self) -> TokenStream:
        return self

    def __exit__(self, *error) -> None:
        self.close()


def encode(
    paths: Sequence[str],
    tokenizer: Tokenizer,
    vocab: Vocab | None = None,
    *,
    min_count: int = 1,
    max_vocab: int | None = None,
    order: str = "first",
    rare: str = "unk",
    keep_oov: bool = False,
    threads: int | None = None,
    tmp: str | None = None,
    progress: Callable[[int], object] | None = None,
    chunk_size: int = CHUNK,
    memory_limit: int | None = None,
) -> TokenStream:
    """Encode texts (files, patterns, directories, ``-``), one after the other.

    Without ``vocab`` it is learnt from this text: ``Vocab.from_counts`` says what ``min_count``,
    ``max_vocab``, ``order`` and ``rare`` do.  With it, a word that it lacks gets the id of its ``<unk>``.
    A word that is left out is -1: without ``<unk>``, with rare "drop", and with ``keep_oov`` beside ``vocab``.
    ``threads``: as many as there are processors, or fewer for small texts, if not given; 1: no processes either.
    ``tmp``: where ids beyond ``memory_limit`` bytes are kept.  ``progress``: called with numbers of bytes read.
    Raises CorpusError for input that cannot be read and for a text without words.
    """
    files = expand(paths)
    if not files:
        raise CorpusError("no text is given")
    size = text_size(files)
    threads = threads or default_threads(size, tokenizer)
    reader = ChunkReader(
        files, chunk_size, whole_lines=not tokenizer.is_identity, divisible=tokenizer.divides_lines, progress=progress
    )
    # a token takes a byte at least; twice that for compressed files, which are larger than they say
    limit = {} if memory_limit is None else {"memory_limit": memory_limit}
    spool = Spool(tmp, at_most=None if size is None else 2 * size + len(files), **limit)
    workers = _workers(tokenizer, size, threads, chunk_size)
    try:
        shards = _Shards(reader, tokenizer, workers, vocab, keep_oov or rare == "drop")
        pieces = []  # (shard, tokens) of each piece, in order
        n_sentences = n_oov = n_tokens = 0
        with closing(_in_order(shards.encode, reader, threads, workers)) as results:
            for shard, ids, sentences, unknown in results:
                spool.append(ids)
                shards.give_back(ids)
                pieces.append((shard, ids.size))
                n_tokens, n_sentences, n_oov = n_tokens + ids.size, n_sentences + sentences, n_oov + unknown
        if n_tokens == n_sentences:
            raise CorpusError(f"{', '.join(paths)}: no words")
        if vocab is None:
            vocab, new_ids, n_oov = _learnt(shards.tables, min_count, max_vocab, order, rare)
            _replace(spool.array(), pieces, new_ids, threads)
        return TokenStream(spool, vocab, int(n_sentences), int(n_oov), reader.text_bytes)
    except BaseException:
        spool.close()
        raise


def expected_tokens(files: Sequence[str], tokenizer: Tokenizer) -> tuple[int, int]:
    """About how many tokens the texts in files (no pipes) have, and how many they have in all likelihood at least.

    Judging by the largest file of those that are compressed, and of those that are not.
    """
    expected = certain = 0
    packed = [is_compressed(path) for path in files]
    for kind in (False, True):
        paths = [path for path, is_packed in zip(files, packed, strict=True) if is_packed == kind]
        if not paths:
            continue
        text, n_bytes = sample(max(paths, key=os.path.getsize), _SAMPLE)
        if not tokenizer.is_identity and len(text) > _SLOW_SAMPLE:  # a tokenizer may take long
            text, n_bytes = text[:_SLOW_SAMPLE], max(n_bytes * _SLOW_SAMPLE // len(text), 1)
        tokens = text if tokenizer.is_identity else tokenizer.split(text)
        n = tokens.count(b"\n") + len(tokens.split())
        size = sum(map(os.path.getsize, paths))
        about = size * n // max(n_bytes, 1) + len(paths)
        expected += about
        # other files, and what comes later in a compressed one, may be quite different
        certain += min(about // 2, size // _PACKED_TOKEN) if kind else about // 2 if len(paths) > 1 else about * 4 // 5
    return expected, certain


def default_threads(size: int | None, tokenizer: Tokenizer) -> int:
    """How many threads are worth their while for a text of ``size`` bytes, None where that is not known."""
    if size is not None and size < min(_WORTH_THREADS, tokenizer.worth_processes):
        return 1
    return min(available(), 8)  # reading and merging are one thread's work: more do not help


def _workers(tokenizer: Tokenizer, size: int | None, threads: int, chunk_size: int) -> Workers | None:
    """Processes that tokenize, which are started once so much text has come that they are worth it; or none."""
    if threads == 1 or tokenizer.is_identity:
        return None
    large = size is not None and size >= tokenizer.worth_processes  # a compressed text is larger than its file
    return Workers(tokenizer, 0 if large else tokenizer.worth_processes // chunk_size)


class _Shards:
    """Encodes pieces of text, each thread with its own table, or all with that of a vocabulary."""

    def __init__(
        self,
        reader: ChunkReader,
        tokenizer: Tokenizer,
        workers: Workers | None,
        vocab: Vocab | None,
        keep_oov: bool,
    ):
        self._reader, self._tokenizer, self._workers = reader, tokenizer, workers
        self._learns = vocab is None
        self._missing = -1 if vocab is None or keep_oov else vocab.unk_id
        self._thread = threading.local()
        self._lock = threading.Lock()
        self._out: deque[np.ndarray] = deque()
        self.tables: list[WordHash] = []
        self._make_table: Callable[[], WordHash]
        if workers is None:
            self._make_table = _table_maker(vocab)
        else:  # which takes half a second, in which workers begin
            loader = ThreadPoolExecutor(1, thread_name_prefix="load")
            made = loader.submit(_table_maker, vocab)
            loader.shutdown(wait=False)
            self._make_table = lambda: made.result()()

    def encode(self, number: int, buffer: bytearray, n: int) -> tuple[int, np.ndarray, int, int]:
        """Piece ``number``: the shard, its ids (to be given back), of them sentence ends, and the words missing.

        A thread must get its pieces in the order of the text.
        """
        mine = self._thread
        if self._tokenizer.is_identity:
            text = np.frombuffer(buffer, np.uint8)
        else:
            tokens = self._split(number, bytes(memoryview(buffer)[:n]))
            text, n = np.frombuffer(tokens + bytes(PADDING), np.uint8), len(tokens)
        if not hasattr(mine, "shard"):
            self._enter(mine)
        try:
            out = self._out.pop()
        except IndexError:
            out = np.empty(0, np.int32)
        if out.size < n:
            out = np.empty(max(n, CHUNK), np.int32)  # all bytes may be newlines; pages that are not used cost nothing
        n_tokens, unknown = mine.table.encode(
            text, n, out, first_base=number << 32, learn=self._learns, missing=self._missing
        )
        del text
        self._reader.give_back(buffer)
        ids = out[:n_tokens]
        return mine.shard, ids, n_tokens - np.count_nonzero(ids), unknown

    def _split(self, number: int, text: bytes) -> bytes:
        tokens = self._tokenizer.split(text) if self._workers is None else self._workers.split(number, text)
        return tokens if tokens.endswith(b"\n") else tokens + b" "  # the line goes on in the next piece

    def give_back(self, ids: np.ndarray) -> None:
        """The array of a piece's ids can be used again."""
        self._out.append(ids.base)

    def _enter(self, mine: threading.local) -> None:
        mine.table = self._make_table()
        with self._lock:
            mine.shard = len(self.tables)
            self.tables.append(mine.table)


def _table_maker(vocab: Vocab | None) -> Callable[[], WordHash]:
    """What makes the table of a thread: a new one, or that of a vocabulary, which all share."""
    from corpora.text.word_hash import WordHash

    if vocab is None:
        return WordHash
    try:
        given = WordHash.of(vocab.words)
    except ValueError as error:
        raise vocab.repetition() from error
    return lambda: given


def _in_order(encode_piece: Callable, reader: ChunkReader, threads: int, workers: Workers | None) -> Iterator[tuple]:
    """The results for all pieces in the order of the text.  Reading stays in this thread, where Ctrl-C arrives."""
    if threads == 1:
        for number, (buffer, n) in enumerate(reader):
            yield encode_piece(number, buffer, n)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")
    try:
        pending = deque()
        for number, (buffer, n) in enumerate(reader):
            pending.append(pool.submit(encode_piece, number, buffer, n))
            if len(pending) > threads + 2:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        if workers is not None:
            workers.close()  # first: the threads wait for them
        pool.shutdown(cancel_futures=True)


def _learnt(
    tables: list, min_count: int, max_vocab: int | None, order: str, rare: str
) -> tuple[Vocab, list[np.ndarray], int]:
    """The vocabulary of all tables; for each table the final id of each of its ids; how many tokens lost their word."""
    whole, *others = tables
    ids_in_whole = [np.arange(len(whole)), *(whole.merge(table) for table in others)]
    n = len(whole)
    appeared = np.argsort(whole.first_places, kind="stable")  # ids; </s> stays first: 0 is the earliest place
    rank = np.empty(n, np.int64)
    rank[appeared] = np.arange(n)
    counts = whole.counts[appeared]
    unk = whole.find(UNK)
    chosen, new_counts, new_id = select(
        counts,
        0,
        int(rank[unk]) if unk >= 0 else -1,
        min_count=min_count,
        max_size=max_vocab,
        order=order,
        n_words=n,
        rare=rare,
    )
    if chosen.max() == n:  # a new <unk>
        whole.add(WordList.of([UNK]))
        appeared = np.append(appeared, n)
    vocab = Vocab(whole.words(appeared[chosen]), new_counts)
    lost = np.ones(n, bool)
    lost[chosen[chosen < n]] = False
    final = new_id[rank]
    return vocab, [final[ids] for ids in ids_in_whole], int(counts[lost].sum())


def _give_back(ids: np.ndarray) -> None:
    """Ids that live in a file are not needed in memory for the time being."""
    if isinstance(ids, np.memmap):
        give_back(ids)


def _replace(ids: np.ndarray, pieces: list[tuple[int, int]], new_ids: list[np.ndarray], threads: int) -> None:
    """Replace each shard's own ids in the pieces that it encoded."""
    from corpora.text.encode import replace_ids

    ends = np.cumsum([size for _, size in pieces]).tolist()

    def replace(start: int) -> None:
        for (shard, size), end in list(zip(pieces, ends, strict=True))[start::threads]:
            replace_ids(ids[end - size : end], new_ids[shard])
            _give_back(ids[end - size : end])

    if threads == 1 or len(pieces) == 1:
        for start in range(threads):
            replace(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(replace, range(threads)))
