"""Sorting the n-grams of a text by their words from the newest to the oldest, and making trie nodes of them.

Legend: n records of a shard, N the order, b bits per word, G words per key, K keys per record.

A record is a position of the text with the N words that end there.  Its words, newest first, are packed
into K keys, G = 3 words each where b allows it; what lies before the first word of the sentence (``<s>``)
or beyond a gap is 0.  Shards are ranges of the first two words, so that each is sorted inside the cache:
by the first key with a radix sort of pairs (key, row), then, where keys are equal, by the next key.
"""

from __future__ import annotations

import numpy as np

from corpora.compute.bytes_simd import prefetch
from corpora.compute.jit import exact_kernel
from rnnlm.ngram.trie import BACKOFF, CHILD, FIRST_WORD, NONE, PROB, START, WORD

_U = np.uint64
_DIGIT = 11  # bits of a radix: its counters stay in the first cache level
_SMALL = 24  # up to here insertion is the fastest way to sort
_RADIX = 3000  # from here on the radix sort is
_AHEAD = 16  # records between a prefetch and its use


@exact_kernel
def to_internal(text, internal):
    """Replace word ids by internal ids, in place.  text (n,) uint32, ids of the vocabulary, 2^32 - 1 for none."""
    last = _U(internal.size - 1)
    for i in range(_U(text.size)):
        text[i] = internal[min(_U(text[i]), last)]


@exact_kernel
def count_words(text, counts):
    """counts[w] += how often word w is in text (n,) uint32."""
    for i in range(_U(text.size)):
        counts[text[i]] += 1


@exact_kernel
def count_shards(text, start, stop, eos, first_shard, n_parts, bits, counts):
    """Add the records of text[start:stop] to the counts (shards,) of their shards; also the number of sentence ends.

    Word w has the shards first_shard[w] to first_shard[w] + n_parts[w] - 1, by the word before it.
    """
    before = START if start == 0 or text[start - 1] == eos else text[start - 1]
    sentences = 0
    for i in range(_U(start), _U(stop)):
        word = text[i]
        if word != NONE:
            counts[first_shard[word] + ((_U(before) * _U(n_parts[word])) >> _U(bits))] += 1
        before = word
        if word == eos:
            sentences += 1
            before = START
    return sentences


@exact_kernel
def scatter_positions(text, start, stop, eos, first_shard, n_parts, bits, lo, hi, place, positions):
    """Write the positions of the records of shards lo <= shard < hi at positions[place[shard]...]; moves ``place``."""
    before = START if start == 0 or text[start - 1] == eos else text[start - 1]
    for i in range(_U(start), _U(stop)):
        word = text[i]
        if word != NONE:
            shard = _U(first_shard[word]) + ((_U(before) * _U(n_parts[word])) >> _U(bits))
            if _U(lo) <= shard < _U(hi):
                at = place[shard]
                positions[at] = np.uint32(i)
                place[shard] = at + _U(1)
        before = START if word == eos else word


@exact_kernel
def gather(text, positions, eos, order, bits, words_per_key, keys, pairs, following):
    """Pack the records at ``positions`` (n,) uint32.  keys (n, K) uint64; pairs (n, 2) uint64: first key and row.

    following (n,) uint32: the word after each record, NONE at the end of a sentence.
    """
    n, n_keys = positions.size, keys.shape[1]
    address = _U(text.ctypes.data)
    b = _U(bits)
    for i in range(_U(n)):
        if i + _U(_AHEAD) < _U(n):
            # the words before it and the one after it may lie in two lines of the cache
            ahead = address + (_U(positions[i + _U(_AHEAD)]) << _U(2))
            prefetch(ahead - _U(4) * _U(order - 1))
            prefetch(ahead + _U(4))
        at = np.int64(positions[i])
        word = text[at]
        following[i] = np.uint32(NONE) if word == eos or at + 1 >= text.size else text[at + 1]
        taken = 0
        for q in range(n_keys):
            key = _U(0)
            for _ in range(words_per_key):
                key = (key << b) | _U(word)
                taken += 1
                if taken >= order or word <= START:
                    word = np.uint32(NONE)
                elif at == 0:
                    word = np.uint32(START)
                else:
                    at -= 1
                    word = text[at]
                    if word == eos:
                        word = np.uint32(START)
            keys[i, q] = key
        pairs[i, 0] = keys[i, 0]
        pairs[i, 1] = i


@exact_kernel
def deal_rows(rows, places, by_word):
    """Write the numbers of n-grams, rows (M, N) uint32, to by_word uint32, those of a word from places[its number] on.

    places (words,) int64, overwritten; words are numbered from FIRST_WORD; n-grams of other newest words are left out.
    """
    for i in range(_U(rows.shape[0])):
        word = _U(rows[i, 0])
        if word >= _U(FIRST_WORD):
            at = places[word - _U(FIRST_WORD)]
            by_word[_U(at)] = np.uint32(i)
            places[word - _U(FIRST_WORD)] = at + 1


@exact_kernel
def pack_rows(rows, bits, words_per_key, keys, pairs):
    """As ``gather``, of n-grams rows (n, N) uint32, newest words first."""
    order = rows.shape[1]
    for i in range(_U(rows.shape[0])):
        for q in range(keys.shape[1]):
            key = _U(0)
            for m in range(q * words_per_key, (q + 1) * words_per_key):
                word = rows[i, m] if m < order else np.uint32(NONE)
                key = (key << _U(bits)) | _U(word)
            keys[i, q] = key
        pairs[i, 0] = keys[i, 0]
        pairs[i, 1] = i


@exact_kernel
def radix_sort(a, b, n, counters):
    """Sort the pairs a[:n] by their first member; b (>= n, 2) and counters (6, 2^11) are scratch.

    Returns whether the result is in b.  Only the bits in which keys differ are looked at.
    """
    differ = _U(0)
    first = a[0, 0]
    for i in range(_U(n)):
        differ |= a[i, 0] ^ first
    if differ == _U(0):
        return False
    low = _U(0)
    while (differ >> low) & _U(1) == _U(0):
        low += _U(1)
    width = _U(0)
    while width + low < _U(64) and (differ >> (low + width)) != _U(0):
        width += _U(1)
    passes = (width + _U(_DIGIT - 1)) // _U(_DIGIT)
    digit = (width + passes - _U(1)) // passes
    mask = (_U(1) << digit) - _U(1)
    for p in range(passes):
        for d in range(mask + _U(1)):
            counters[p, d] = np.uint32(0)
    for i in range(_U(n)):
        key = a[i, 0] >> low
        for p in range(passes):
            counters[p, key & mask] += np.uint32(1)
            key >>= digit
    swapped = False
    for p in range(passes):
        total = np.uint32(0)
        places = counters[p]
        for d in range(mask + _U(1)):
            size = places[d]
            places[d] = total
            total += size
        shift = low + _U(p) * digit
        source, target = (b, a) if swapped else (a, b)
        for i in range(_U(n)):
            key, row = source[i, 0], source[i, 1]
            d = (key >> shift) & mask
            at = places[d]
            places[d] = at + np.uint32(1)
            target[at, 0] = key
            target[at, 1] = row
        swapped = not swapped
    return swapped


@exact_kernel
def insertion_sort(a, start, stop):
    """Sort the pairs a[start:stop] by their first member."""
    for i in range(_U(start) + _U(1), _U(stop)):
        key, row = a[i, 0], a[i, 1]
        j = i
        while j > _U(start) and a[j - _U(1), 0] > key:
            a[j, 0] = a[j - _U(1), 0]
            a[j, 1] = a[j - _U(1), 1]
            j -= _U(1)
        a[j, 0] = key
        a[j, 1] = row


@exact_kernel
def quicksort(a, start, stop, stack):
    """Sort the pairs a[start:stop] by their first member; stack (>= 64, 2) int64 is scratch."""
    depth = 0
    while True:
        while stop - start > _SMALL:
            x, y, z = a[start, 0], a[(start + stop) >> 1, 0], a[stop - 1, 0]
            pivot = max(min(x, y), min(max(x, y), z))
            i, j = start, stop - 1
            while i <= j:
                while a[_U(i), 0] < pivot:
                    i += 1
                while a[_U(j), 0] > pivot:
                    j -= 1
                if i <= j:
                    for c in range(2):
                        kept = a[_U(i), c]
                        a[_U(i), c] = a[_U(j), c]
                        a[_U(j), c] = kept
                    i += 1
                    j -= 1
            # the larger part waits, so that the stack stays small
            if j + 1 - start < stop - i:
                stack[depth, 0], stack[depth, 1] = i, stop
                stop = j + 1
            else:
                stack[depth, 0], stack[depth, 1] = start, j + 1
                start = i
            depth += 1
        insertion_sort(a, start, stop)
        if depth == 0:
            return
        depth -= 1
        start, stop = stack[depth, 0], stack[depth, 1]


@exact_kernel
def refine(pairs, keys, n, a, b, counters, stack):
    """Sort the runs of ``pairs`` (n, 2) with equal first keys by their further keys; a, b: scratch of n pairs."""
    for q in range(1, keys.shape[1]):
        start = 0
        while start < n:
            stop = start + 1
            key = pairs[_U(start), 0]
            row = pairs[_U(start), 1]
            while stop < n and pairs[_U(stop), 0] == key:
                same = True
                for earlier in range(1, q):
                    same &= keys[pairs[_U(stop), 1], earlier] == keys[row, earlier]
                if not same:
                    break
                stop += 1
            size = stop - start
            if size > 1:
                for i in range(_U(size)):
                    other = pairs[_U(start) + i, 1]
                    a[i, 0] = keys[other, q]
                    a[i, 1] = other
                in_b = False
                if size <= _SMALL:
                    insertion_sort(a, 0, size)
                elif size <= _RADIX:
                    quicksort(a, 0, size, stack)
                else:
                    in_b = radix_sort(a, b, size, counters)
                result = b if in_b else a
                for i in range(_U(size)):
                    pairs[_U(start) + i, 1] = result[i, 1]
            start = stop


@exact_kernel
def _shifts(order, bits, words_per_key, key_of, shift):
    """In which key a word is, and how far from its lowest bit."""
    for m in range(order):
        key_of[m] = m // words_per_key
        shift[m] = bits * (words_per_key - 1 - m % words_per_key)


@exact_kernel
def compare(pairs, keys, n, order, bits, words_per_key, columns, common, length):
    """For sorted records: how many words each has in common with the one before it, and how many it has.

    common, length (n,) uint8.  columns (K, n) uint64: the keys in sorted order.
    """
    shift, key_of = np.empty(order, np.uint64), np.empty(order, np.uint64)
    _shifts(order, bits, words_per_key, key_of, shift)
    mask = (_U(1) << _U(bits)) - _U(1)
    for q in range(keys.shape[1]):
        for i in range(_U(n)):
            columns[q, i] = keys[pairs[i, 1], q]
    # a word at a time over all records: vectors, without branches
    for i in range(_U(n)):
        common[i], length[i] = np.uint8(0), np.uint8(0)
    for m in range(order):
        q, s = key_of[m], shift[m]
        for i in range(_U(1), _U(n)):
            alike = (columns[q, i] ^ columns[q, i - _U(1)]) >> s == _U(0)
            common[i] += np.uint8(alike & (common[i] == m))
        for i in range(_U(n)):
            length[i] += np.uint8((columns[q, i] >> s) & mask != _U(0))


@exact_kernel
def count_nodes(n, common, length, sizes):
    """How many nodes of each order sorted records have (``compare``).  sizes (N,) int64, overwritten."""
    for m in range(sizes.size):
        made = np.uint32(0)
        for i in range(_U(n)):
            made += np.uint32((common[i] <= m) & (length[i] > m))
        sizes[m] = made


@exact_kernel
def emit_words(n, order, bits, words_per_key, columns, common, length, stage):
    """Make the nodes of order 1 of sorted records.

    For the i-th word stage[i] = word, its first child among the nodes of order 2, count, 0; stage (> nodes, 4) uint32.
    """
    shift, key_of = np.empty(order, np.uint64), np.empty(order, np.uint64)
    _shifts(order, bits, words_per_key, key_of, shift)
    made, child = _U(0), np.uint32(0)
    for i in range(_U(n)):
        if common[i] == 0:
            stage[made, WORD] = columns[0, i] >> shift[0]
            stage[made, CHILD] = child
            stage[made, PROB], stage[made, BACKOFF] = 0, 0
            made += _U(1)
        stage[made - _U(1), PROB] += np.uint32(1)
        child += np.uint32((common[i] <= 1) & (length[i] > 1))


@exact_kernel
def emit(n, m, n_nodes, order, bits, words_per_key, columns, common, length, below, first_child, out, start):
    """Make the n_nodes nodes of order m + 1 of sorted records (``compare``), at out[start:].

    A row of 4 columns: oldest word, its first child among those of the next order, which begin at first_child, count,
    0; of 2 columns: word, count.  below (n,) uint32: how many nodes of order m + 2 begin before each record (of no
    meaning for the last order); becomes the same of order m + 1.
    """
    shift, key_of = np.empty(order, np.uint64), np.empty(order, np.uint64)
    _shifts(order, bits, words_per_key, key_of, shift)
    mask = (_U(1) << _U(bits)) - _U(1)
    q, s = key_of[m], shift[m]
    wide, offset = out.shape[1] == 4, np.uint32(first_child)
    # backwards and without branches: every record writes the row of its node, the first one last; a record that is
    # too short for a node writes the row of the node before it, which that one's records write after it
    i, left, count = _U(n), _U(n_nodes), np.uint32(0)
    while left > _U(0):
        i -= _U(1)
        lives = np.uint32(length[i] > m)
        begins = lives & np.uint32(common[i] <= m)
        word = np.uint32((columns[q, i] >> s) & mask)
        count += lives
        at = _U(start) + left - _U(1)
        if wide:
            out[at, WORD], out[at, CHILD], out[at, PROB], out[at, BACKOFF] = word, offset + below[i], count, 0
        else:
            out[at, 0], out[at, 1] = word, count
        left -= _U(begins)
        count = np.uint32(0) if begins else count
        below[i] = left
    for j in range(i):
        below[j] = 0


@exact_kernel
def write_transitions(pairs, n, following, common, length, same_word, out):
    """out (n,) uint32, overwritten: the word after each record, ``common`` and ``length``, as in ``CountedTrie``.

    same_word: the first record has its newest word in common with the shard before.
    """
    for i in range(_U(n)):
        shared = np.uint32(common[i])
        if i == _U(0) and same_word:
            shared = np.uint32(1)
        out[i] = following[pairs[i, 1]] | shared << np.uint32(24) | np.uint32(length[i]) << np.uint32(28)


@exact_kernel
def emit_counted(pairs, keys, n, order, bits, words_per_key, weights, stage, sizes):
    """As ``emit``, of n-grams with counts of their own: weights (n,) int64 by row.

    The count of a node is that of the record that ends there, or without one the sum of those below it.
    """
    shift, key_of = np.empty(order, np.uint64), np.empty(order, np.uint64)
    _shifts(order, bits, words_per_key, key_of, shift)
    mask = (_U(1) << _U(bits)) - _U(1)
    nodes = np.zeros(order + 1, np.uint64)
    # of the nodes that are open: their words, the sum of those below, and the counts of their own
    words = np.zeros(order, np.uint64)
    below, own = np.zeros(order, np.int64), np.full(order, np.int64(-1))
    for i in range(n + 1):
        row = pairs[_U(min(i, n - 1)), 1]
        same = 0
        if i < n:
            while same < order and (keys[row, key_of[same]] >> shift[same]) & mask == words[same]:
                same += 1
        for m in range(order - 1, same - 1, -1):  # these nodes end here
            if words[m] != _U(0):
                count = below[m] if own[m] < 0 else own[m]
                stage[m, nodes[m] - _U(1), PROB] = count
                words[m] = 0
                if m > 0:
                    below[m - 1] += count
        if i < n:
            last = same - 1
            for m in range(same, order):
                words[m] = (keys[row, key_of[m]] >> shift[m]) & mask
                if words[m] == _U(0):
                    break
                last = m
                stage[m, nodes[m], WORD] = words[m]
                stage[m, nodes[m], CHILD] = nodes[m + 1]
                nodes[m] += _U(1)
                below[m], own[m] = 0, -1
            while words[last] == _U(0):  # a row that was there before: what agrees beyond its end is nothing
                last -= 1
            own[last] = max(own[last], np.int64(0)) + weights[row]
    for m in range(order):
        sizes[m] = nodes[m]


@exact_kernel
def place_nodes(stage, n, first_child, out, start):
    """Copy n staged nodes to out[start:], as ``emit`` writes them; their children begin at first_child."""
    if out.shape[1] == 2:
        for i in range(_U(n)):
            out[_U(start) + i, 0] = stage[i, WORD]
            out[_U(start) + i, 1] = stage[i, PROB]
    else:
        for i in range(_U(n)):
            at = _U(start) + i
            out[at, WORD] = stage[i, WORD]
            out[at, CHILD] = stage[i, CHILD] + np.uint32(first_child)
            out[at, PROB] = stage[i, PROB]
            out[at, BACKOFF] = 0


@exact_kernel
def place_unigrams(stage, n, first_child, unigrams):
    """Enter n staged unigrams in the rows of their words; the shards of one word come in order."""
    for i in range(n):
        word = stage[i, WORD]
        if unigrams[word, PROB] == 0:
            unigrams[word, CHILD] = stage[i, CHILD] + np.uint32(first_child)
        unigrams[word, PROB] += stage[i, PROB]


@exact_kernel
def finish_unigrams(unigrams, n_bigrams):
    """Give every row its word, and those without children the place where they would be."""
    child = np.uint32(n_bigrams)
    for i in range(unigrams.shape[0] - 1, -1, -1):
        unigrams[i, WORD] = i
        if unigrams[i, PROB] != 0 and i != START and i != unigrams.shape[0] - 1:
            child = unigrams[i, CHILD]
        unigrams[i, CHILD] = child
