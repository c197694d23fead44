"""The text of a training run as word ids, and the words that are trained: learnt, of a list, or of older vectors.

V words; word 0 is ``</s>``, the others stand in the order of their counts: Huffman trees, and all tools that look at
the N most frequent words only, want them so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpora.errors import CorpusError
from corpora.text.stream import TokenStream, encode
from corpora.text.tokenizers import from_spec
from corpora.text.vocab import EOS, Vocab, WordList
from corpora.text.vocab_order import sorted_order

if TYPE_CHECKING:
    from w2v.model import WordVectors

_BLOCK = 1 << 20  # ids
_FEWEST = 2  # words beside </s>: a single one has nothing to be told from


class VocabOptions(NamedTuple):
    """Which words are trained.

    ``file``: those of a list; its counts, where it has them, are used as they are.  ``max_size``: with ``</s>``.
    ``grow``: beside the words of older vectors, those that are new in this text.
    """

    file: str | None = None
    min_count: int = 5
    max_size: int | None = None
    grow: bool = False


@dataclass
class Text:
    """An encoded text and its vocabulary.

    ids (n,) int32, in memory or mapped from a file; 0: sentence end, -1: a word that is not trained.  There are
    ``n_unknown`` of the latter.  rows (V,) int64: where each word is in the older vectors, -1: nowhere; None: there
    are none.
    """

    vocab: Vocab
    ids: np.ndarray
    n_unknown: int
    stream: TokenStream
    rows: np.ndarray | None = None

    @property
    def bytes_in_memory(self) -> int:
        return 0 if isinstance(self.ids, np.memmap) else self.ids.nbytes

    def close(self) -> None:
        self.ids = None
        self.stream.close()

    def __enter__(self) -> Text:
        return self

    def __exit__(self, *error) -> None:
        self.close()


def read_text(
    paths: Sequence[str],
    tokenizer: str = "whitespace",
    options: VocabOptions | None = None,
    initial: WordVectors | None = None,
    known: Vocab | None = None,
    **how,
) -> Text:
    """Encode the text of a run.  ``how``: threads, tmp, progress, memory_limit of ``corpora.text.stream.encode``.

    ``initial``: older vectors whose words are trained on; counts are theirs and this text's together.  ``known``: the
    vocabulary of an interrupted run, to be taken as it is.  CorpusError where there are not two words to train.
    """
    split, options = from_spec(tokenizer), options or VocabOptions()
    if known is not None:
        stream = encode(paths, split, known, keep_oov=True, **how)
        return Text(known, stream.ids, stream.n_oov, stream)
    if initial is not None:
        text = _read_more(paths, split, options, initial, how)
    elif options.file is not None:
        text = _read_listed(paths, split, options, how)
    else:
        stream = encode(
            paths, split, min_count=options.min_count, max_vocab=options.max_size, rare="drop", **how
        )  # fmt: skip
        text = Text(stream.vocab, stream.ids, stream.n_oov, stream)
    try:
        _require_words(text, paths, options)
    except BaseException:
        text.close()
        raise
    return text


def _read_listed(paths, split, options: VocabOptions, how: dict) -> Text:
    listed = Vocab.read(options.file)
    stream = encode(paths, split, listed, keep_oov=True, **how)
    found = stream.counts()
    counts = listed.counts if listed.counts.any() else found
    keep = counts >= options.min_count
    if listed.unk_id >= 0 and not found[listed.unk_id]:
        keep[listed.unk_id] = False  # it stands for words that the list lacks, and is no word of this text
    return _arranged(stream, listed.words, counts, keep, options.max_size)


def _read_more(paths, split, options: VocabOptions, initial: WordVectors, how: dict) -> Text:
    """The text for words that have vectors already, and with ``grow`` for new ones."""
    old, rows = _words_of(initial)
    old_counts = np.where(rows >= 0, initial.counts[rows], 0)
    if not options.grow:
        stream = encode(paths, split, old, keep_oov=True, **how)
        counts = old_counts + stream.counts()
        return _arranged(stream, old.words, counts, np.ones(len(old), bool), None, rows)
    stream = encode(paths, split, min_count=1, rare="drop", **how)
    found, counts = stream.vocab, stream.vocab.counts
    place = old.ids(list(found.words))
    new = np.flatnonzero((place < 0) & (counts >= options.min_count))
    if options.max_size is not None:  # found.words are in the order of their counts
        new = new[: max(0, options.max_size - len(old))]
    place[new] = np.arange(len(old), len(old) + new.size)
    is_kept = place >= 0
    total = np.concatenate([old_counts, np.zeros(new.size, np.int64)])
    total[place[is_kept]] += counts[is_kept]
    words = _joined(old.words, found.words.take(new))
    rows = np.concatenate([rows, np.full(new.size, -1)])
    return _arranged(stream, words, total, np.ones(total.size, bool), None, rows, place)


def _words_of(vectors: WordVectors) -> tuple[Vocab, np.ndarray]:
    """The words of older vectors with ``</s>`` in front, and the row of each, -1: there was no ``</s>``."""
    words, at = vectors.words, vectors.words.find(EOS)
    rows = np.arange(len(words))
    if at < 0:
        words, rows = _joined(WordList.of([EOS]), words), np.concatenate([[-1], rows])
    elif at > 0:
        rows = np.concatenate([[at], np.delete(rows, at)])
        words = words.take(rows)
    return Vocab(words), rows


def _joined(first: WordList, second: WordList) -> WordList:
    return WordList(
        np.concatenate([first.blob, second.blob]),
        np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]]),
    )


def _arranged(stream: TokenStream, words: WordList, counts, keep, max_size=None, rows=None, place=None) -> Text:
    """The text with its words sorted by count: words (n,), of which ``keep`` (n,) says which are trained.

    ``place``: the word, or -1, of each id of the stream, which is the id itself if not given.  Ties stay as they are.
    """
    others = 1 + np.flatnonzero(keep[1:])
    order = np.concatenate([[0], others[sorted_order(counts[others])]]).astype(np.int64)[:max_size]
    new_ids = np.full(len(words) + 1, -1, np.int32)  # the last is that of -1
    new_ids[order] = np.arange(order.size, dtype=np.int32)
    if place is not None:
        new_ids = np.append(new_ids[place], np.int32(-1))
    n_unknown = 0
    for part in _blocks(stream.ids):
        part[...] = new_ids[part]
        n_unknown += int(np.count_nonzero(part < 0))
    vocab = Vocab(words.take(order), counts[order])
    return Text(vocab, stream.ids, n_unknown, stream, None if rows is None else rows[order])


def _blocks(ids: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, ids.size, _BLOCK):
        yield ids[start : start + _BLOCK]


def _require_words(text: Text, paths: Sequence[str], options: VocabOptions) -> None:
    source = options.file or ", ".join(paths)
    n = len(text.vocab) - 1
    if n < _FEWEST:
        words = "1 word is" if n == 1 else f"{n} words are"
        remedy = "; lower `min_count`" if options.min_count > 1 else ""
        raise CorpusError(f"{source}: {words} left to train, at least {_FEWEST} are needed{remedy}")
    if not any((part > 0).any() for part in _blocks(text.ids)):
        raise CorpusError(f"{', '.join(paths)}: none of the words to train is in this text")
