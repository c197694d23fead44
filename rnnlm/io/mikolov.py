"""Model files of Mikolov's RNNLM toolkit, text and binary, versions 9 and 10: read and written as 0.4b does.

V words, C classes, H hidden, P below the output (the compression layer, or H).

    head                 "key: value" lines (mikolov_header.py), then "Vocabulary:"
    V lines              "%6d\\t%10d\\t%s\\t%d\\n": index, count, word, class
    hidden activation    (H,) the state that 0.4b goes on from
    weights 0->1         (H, V + H): column w is the input row U[w], column V + j is W[j]
    weights 1->2         (V + C, H): O, then C.  With compression: 1->c (P, H), which is K, then c->2 (V + C, P)
    direct connections   (D,)

The numbers are lines of "%.4f" ("%.2f" for direct connections) under a title in text files, and
little-endian float32 straight after the vocabulary's last newline in binary ones.  0.4b reads
the class column but computes the classes again from the counts; here those of the file count.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import numpy as np

from corpora.errors import CorpusError, FormatError
from corpora.files.checks import all_finite, shown
from corpora.files.output import replace_file
from corpora.files.source import Source
from corpora.text.decimals import NotANumber, format_decimals, parse_decimals
from corpora.text.vocab import EOS, Vocab
from rnnlm.io.mikolov_header import VERSIONS, Header, header_for, read_header
from rnnlm.model import RecurrentLM
from rnnlm.outputs.classes import frequency_classes

MAGIC = b"version:"
_BLOCK = 1 << 18  # numbers that are formatted at a time
_TEXT_BLOCK = 1 << 21  # bytes that are parsed at a time
_SMALLEST_LINE = len(b"0\t0\ta\t0\n")
_LONGEST_LINE = 1 << 16  # bytes, in what is read step by step
_OTHER_LINES = 8  # of a section in text: its title, and empty ones


def recognises_text(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC) and not recognises_binary(prefix)


def recognises_binary(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC) and b"\nfile format: 1\n" in prefix[:200].replace(b"\r", b"")


def read(source: Source, dtype: str | None = None) -> RecurrentLM:
    """The model of an open file, its parameters as ``dtype`` ("float32"; by default "float64").

    FormatError for a file that is cut short or too long, that contradicts itself or that has NaN or infinity in it.
    """
    path = source.path
    if source.is_plain_file:
        data = source.data
        header = read_header(path, data)
    else:
        header = read_header(path, source.prefix)
        data = _stream(source, header)
    _check_length(path, header, len(data))
    words, counts, class_of_word, position = _read_vocabulary(path, data, header)
    config = header.config(dtype or "float64")
    if header.binary:
        arrays = _read_binary(path, data, header, position, config.dtype)
    else:
        arrays = _read_text(path, data, header, position, config.dtype)
    for (title, _, _), array in zip(header.sections(), arrays, strict=True):
        if not all_finite(array):
            raise FormatError(path, None, f'NaN or infinity in "{title}"')
    try:
        vocab = Vocab(words, counts)
    except ValueError as error:
        raise FormatError(path, None, str(error)) from error
    return RecurrentLM(
        config=config,
        vocab=vocab,
        params=_parameters(header, arrays),
        class_of_word=class_of_word,
        start_hidden=arrays[0],
        training=header.training(),
    )


def _stream(source: Source, header: Header) -> bytearray:
    """The content of a compressed file or a pipe, read step by step and only as far as it can be this model."""
    position = _pass_lines(source, header.end, header.n_words)
    if header.binary:
        expected = position + 4 * header.n_weights()
        data = source.upto(expected + 1)
    else:
        # a number is a line; titles and empty lines stand between
        expected = _pass_lines(source, position, header.n_weights() + _OTHER_LINES * len(header.sections()))
        data = source.upto(expected + _LONGEST_LINE)
        if len(data) >= expected + _LONGEST_LINE:
            raise FormatError(source.path, None, "there is more than the sizes at its head make")
    return data


def _pass_lines(source: Source, position: int, n: int) -> int:
    """Read n lines from ``position`` on, or all that there are; where they end."""
    while n > 0:
        data = source.upto(position + _LONGEST_LINE)
        lines = bytes(data[position : position + _LONGEST_LINE])
        found = lines.count(b"\n")
        if not found:
            if len(lines) == _LONGEST_LINE:
                number = data.count(b"\n", 0, position) + 1
                raise FormatError(source.path, number, f"a line of more than {_LONGEST_LINE:,} bytes")
            return len(data)
        if found <= n:
            position += lines.rfind(b"\n") + 1
        else:
            for _ in range(n):
                position = data.find(b"\n", position) + 1
        n -= found
    return position


def _check_length(path: str, header: Header, size: int) -> None:
    # before anything is allocated: the sizes must fit into the file
    least = header.end + _SMALLEST_LINE * header.n_words + (4 if header.binary else 2) * header.n_weights()
    if size < least:
        raise FormatError(
            path,
            None,
            f"cut short, or its sizes are wrong: {header.n_words} words and {header.n_weights()} weights"
            f" need at least {least} bytes, the file has {size}",
        )


def _read_vocabulary(path: str, data, header: Header):
    """words, counts (V,) int64, class_of_word (V,) int32, and the position of the byte that follows."""
    position = header.end
    words: dict[bytes, None] = {}
    counts, classes = [], [0]
    for i in range(header.n_words):
        end = data.find(b"\n", position)
        line = header.line + i
        if end < 0:
            raise FormatError(
                path, line, f"the file ends in the vocabulary, at word {i} of {header.n_words}: cut short?"
            )
        fields = bytes(data[position:end]).split(b"\t")
        position = end + 1
        try:
            index, count, word, word_class = fields
            index, count, word_class = int(index), int(count), int(word_class)
        except ValueError:
            expected = '"index, count, word, class" with tabs between them'
            raise FormatError(path, line, f'expected {expected}, found "{shown(b" ".join(fields))}"') from None
        if index != i:
            raise FormatError(path, line, f"expected word {i}, found word {index}")
        if not word or word in words or (i == 0 and word != EOS):
            reason = "no word" if not word else "the first word is not </s>" if i == 0 else "the word is there twice"
            raise FormatError(path, line, f'{reason}: "{shown(word)}"')
        if not 0 <= count < 1 << 63:
            raise FormatError(path, line, f"the count is {count}")
        if not classes[-1] <= word_class < header.values["classes"]:
            found = f"class {word_class} after class {classes[-1]}, of {header.values['classes']}"
            raise FormatError(path, line, f"classes must not decrease and be below their number, found {found}")
        words[word] = None
        counts.append(count)
        classes.append(word_class)
    class_of_word = np.array(classes[1:], np.int32)
    return list(words), np.array(counts, np.int64), class_of_word, position


def _read_binary(path: str, data, header: Header, position: int, dtype: str) -> list[np.ndarray]:
    expected = position + 4 * header.n_weights()
    if len(data) != expected:
        finding = "cut short" if len(data) < expected else "rubbish at the end"
        raise FormatError(path, None, f"{finding}: {len(data)} bytes, where its sizes make {expected}")
    arrays = []
    for _, shape, _ in header.sections():
        count = math.prod(shape)
        # the text before it has any length, so the numbers lie unaligned: always a copy
        with np.errstate(invalid="ignore"):  # NaN is looked for later
            arrays.append(np.frombuffer(data, "<f4", count, position).reshape(shape).astype(dtype))
        position += 4 * count
    return arrays


def _read_text(path: str, data, header: Header, position: int, dtype: str) -> list[np.ndarray]:
    sections = header.sections()
    titles = []  # (where its line starts, where the next line starts)
    for title, _, _ in sections:
        after = titles[-1][1] if titles else position
        colon = data.find(b":", after)
        if colon < 0:
            raise FormatError(path, None, f'cut short: no "{title}:" after line {_line_of(data, after) - 1}')
        start = max(data.rfind(b"\n", after, colon) + 1, after)
        found = bytes(data[start : min(colon + 1, start + 100)])
        if found.strip() != title.encode() + b":":
            raise FormatError(path, _line_of(data, start), f'expected "{title}:", found "{shown(found)}"')
        titles.append((start, data.find(b"\n", colon) + 1))
    if data[len(data) - 1 :] != b"\n":
        raise FormatError(path, None, "cut short: the last line has no end")
    stops = [start for start, _ in titles[1:]] + [len(data)]
    before = bytes(data[position : min(titles[0][0], position + 200)])
    if before.strip():
        line = header.line + header.n_words
        raise FormatError(path, line, f'expected "{sections[0][0]}:", found "{shown(before.strip())}"')
    return [
        _read_numbers(path, data, start, stop, title, shape, dtype)
        for (title, shape, _), (_, start), stop in zip(sections, titles, stops, strict=True)
    ]


def _read_numbers(path, data, start: int, stop: int, title: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """The array of the lines from byte ``start`` to ``stop``, which are as many numbers as the shape needs."""
    expected = math.prod(shape)
    # "0\n" is the shortest line, so that a wrong size is found before its array is made
    values = np.empty(min(expected, (stop - start) // 2 + 1), dtype)
    found, position = 0, start
    while position < stop:
        end = stop if stop - position <= _TEXT_BLOCK else data.rfind(b"\n", position, position + _TEXT_BLOCK) + 1
        text = bytes(data[position : end or stop]).rstrip() + b"\n"
        try:
            numbers = parse_decimals(text)
        except NotANumber as error:
            line = _line_of(data, position + error.offset)
            raise FormatError(path, line, f'expected a number, found "{shown(error.token)}"') from None
        if found + numbers.size > values.size:
            found += numbers.size
            break
        with np.errstate(over="ignore"):  # found by the check for infinity
            values[found : found + numbers.size] = numbers
        found += numbers.size
        position = end or stop
    if found != expected:
        finding = f"{found} numbers, cut short?" if found < expected else f"at least {found} numbers"
        line = _line_of(data, start) - 1
        raise FormatError(path, line, f'"{title}:" needs {expected} numbers by the sizes at the head, found {finding}')
    return values.reshape(shape)


def _line_of(data, position: int) -> int:
    """The number of the line that holds the byte at ``position``."""
    return 1 + sum(
        bytes(data[i : min(i + _TEXT_BLOCK, position)]).count(b"\n") for i in range(0, position, _TEXT_BLOCK)
    )


def _parameters(header: Header, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    n_words = header.n_words
    syn0, output = arrays[1], arrays[-2]
    params = {
        "U": np.ascontiguousarray(syn0[:, :n_words].T),
        "W": np.ascontiguousarray(syn0[:, n_words:].T),
        "O": np.ascontiguousarray(output[:n_words]),
        "C": np.ascontiguousarray(output[n_words:]),
    }
    if header.values["compression"]:
        params["K"] = arrays[2]
    if header.values["direct"]:
        params["D"] = arrays[-1]
    return params


def peek(source: Source) -> dict:
    """What the head says, without reading the weights: ``config``, ``n_words``, ``training``, ``history``."""
    header = read_header(source.path, source.prefix)
    return {
        "config": header.config("float32"),
        "n_words": header.n_words,
        "n_parameters": header.n_weights() - header.values["hidden"],
        "training": header.training(),
        "history": [],
    }


def write(lm: RecurrentLM, path: str | os.PathLike, *, binary: bool, version: int = 10) -> None:
    """Write a model as 0.4b (version 10) or 0.3d (version 9) would, byte for byte.

    CorpusError, one line, for a model that the toolkit could not hold; the file that was there stays.
    """
    if version not in VERSIONS:
        raise ValueError(f"rnnlm version {version}: one of {', '.join(map(str, VERSIONS))}")
    for reason in _obstacles(lm, version):
        raise CorpusError(f"{os.fspath(path)}: not possible as a model of the RNNLM toolkit: {reason}")
    header = header_for(lm.training, lm.config, len(lm.vocab), binary=binary, version=version)
    with replace_file(os.fspath(path)) as file:
        file.write(header.to_bytes())
        columns = zip(lm.vocab.counts.tolist(), lm.vocab.words, lm.class_of_word.tolist(), strict=True)
        file.writelines(b"%6d\t%10d\t%b\t%d\n" % (i, *row) for i, row in enumerate(columns))
        for (title, _, decimals), blocks in zip(header.sections(), _layers(lm), strict=True):
            if not binary:
                # 0.4b leaves a second empty line before the weights of the output
                file.write(b"\n" * (2 if title.startswith(("Weights 1", "Weights c")) else 1) + f"{title}:\n".encode())
            for block in blocks:
                flat = block.reshape(-1)
                for i in range(0, flat.size, _BLOCK):
                    piece = flat[i : i + _BLOCK]
                    file.write(piece.astype("<f4").tobytes() if binary else format_decimals(piece, decimals))


def _layers(lm: RecurrentLM) -> Iterator[Iterator[np.ndarray]]:
    """The arrays of a file in their order, each in parts, so that none is copied whole."""
    params = lm.params
    yield iter([lm.start_hidden])
    rows = max(1, _BLOCK // (len(lm.vocab) + lm.config.hidden))
    yield (
        np.concatenate([params["U"][:, i : i + rows].T, params["W"][:, i : i + rows].T], axis=1)
        for i in range(0, lm.config.hidden, rows)
    )
    if lm.config.compression:
        yield iter([params["K"]])
    yield iter([params["O"], params["C"]])
    yield iter([params["D"]] if lm.config.direct else [])


def _obstacles(lm: RecurrentLM, version: int) -> Iterator[str]:
    """What of this model has no place in the toolkit's files."""
    config, counts = lm.config, lm.vocab.counts
    if config.cell != "elman":
        yield f"its cell is {config.cell}, not elman"
    elif config.is_stack:
        yield "it has more layers, an embedding or another output layer than the toolkit's networks"
    if config.activation != "logistic":
        yield f"its activation is {config.activation}, not logistic"
    if version == 9 and (config.independent or config.old_classes):
        yield f"version 9 does not say {'independent' if config.independent else 'old classes'}"
    if max(len(lm.vocab) + config.hidden, len(lm.vocab) + config.classes) * config.hidden >= 1 << 31:
        yield "more than 2^31 weights in one layer"
    if counts.min() < 0 or counts.max() >= 1 << 31:
        yield "a word's count is above 2^31 - 1"
    blob = lm.vocab.to_arrays()[0]
    if np.isin(blob, np.frombuffer(b"\0\t\n\r ", np.uint8)).any():
        yield "a word has a NUL byte or white space in it"
    old = (False, True) if version == 9 else (config.old_classes,)
    if not counts.any() or all((frequency_classes(counts, config.classes, o) != lm.class_of_word).any() for o in old):
        yield "its classes are not those of the words' counts, from which the toolkit computes them again"
    for name, values in {**lm.params, "start_hidden": lm.start_hidden}.items():
        if not all_finite(values, np.float32):
            yield f"{name} has NaN, infinity, or values beyond float32 in it"
