"""Seeded damage: ``mutated(content, kind, rng)`` is a file that a disk, a network or an editor might have spoilt.

Kinds: "bytes", "text" (numbers and lines are aimed at as well), "json" (values are), "tensors" (of safetensors
files: values of each tensor and of the metadata, with a header that stays valid).
"""

from __future__ import annotations

import json
import re
import struct

import numpy as np

NUMBERS = (
    b"0", b"-0", b"1", b"-1", b"2", b"255", b"65536", b"2147483647", b"2147483648", b"-2147483648", b"4294967295",
    b"4294967296", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"99999999999999999999999",
    b"1e308", b"-1e308", b"1e400", b"-1e400", b"1e-320", b"3.5e38", b"-3.5e38", b"nan", b"inf", b"-inf", b"", b"x",
    b"1.5", b"1_0", b"0x10", "٣".encode(), b"+", b"-", b".", b"e", b"100", b"1000000000", b"-99", b"99",
)  # fmt: skip
VALUES = (
    None, True, False, 0, 1, -1, 2, 1.5, -0.5, 1e308, -1e308, 1 << 31, 1 << 63, 1 << 64, 10**30, "", "x", "1", "nan",
    "\ud800", "a\nb", [], {}, [1], {"x": 1}, [[]], [None], "é" * 300, "/nowhere", ".", "..",
)  # fmt: skip
_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def mutated(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Another content, seldom the same one."""
    aimed = {"bytes": (), "text": _TEXT, "json": (*_TEXT, _json), "tensors": (_values, _values, _metadata, _shape)}[
        kind
    ]
    # half of the damage is done with knowledge of the format
    functions = aimed if aimed and rng.random() < 0.6 else _BYTES
    return functions[rng.integers(len(functions))](content, rng)


# ---- of any bytes


def _place(content: bytes, rng) -> tuple[int, int]:
    """The start and the end of a run of bytes, mostly a short one; heads of files are hit more often."""
    start = int(rng.integers(min(len(content), 400) if rng.random() < 0.3 else len(content))) if content else 0
    length = int(min(2 ** rng.uniform(0, 10), len(content) - start))
    return start, start + max(length, 1)


def _flip(content, rng):
    data = bytearray(content)
    for _ in range(int(2 ** rng.uniform(0, 5))):
        if data:
            data[_place(content, rng)[0]] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _truncate(content, rng):
    return content[: int(rng.integers(len(content) + 1))]


def _fill(content, rng):
    start, end = _place(content, rng)
    fill = [b"\0", b"\xff", b"\n", b" "][int(rng.integers(4))] if rng.random() < 0.7 else None
    return content[:start] + (rng.bytes(end - start) if fill is None else fill * (end - start)) + content[end:]


def _swap(content, rng):
    (a, b), (c, d) = sorted([_place(content, rng), _place(content, rng)])
    b = min(b, c)
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _repeat(content, rng):
    start, end = _place(content, rng)
    return content[:end] + content[start:end] * int(2 ** rng.uniform(0, 6)) + content[end:]


def _delete(content, rng):
    start, end = _place(content, rng)
    return content[:start] + content[end:]


_BYTES = (_flip, _flip, _truncate, _fill, _fill, _swap, _repeat, _delete)


# ---- of text


def _numbers(content, rng):
    """Some of the numbers are extreme ones."""
    found = list(_NUMBER.finditer(content))
    if not found:
        return _flip(content, rng)
    near = found[:40] if rng.random() < 0.4 else found
    for i in sorted({int(rng.integers(len(near))) for _ in range(int(2 ** rng.uniform(0, 3)))}, reverse=True):
        number = NUMBERS[int(rng.integers(len(NUMBERS)))]
        content = content[: near[i].start()] + number + content[near[i].end() :]
    return content


def _lines(content, rng):
    """A line is gone, there twice, at another's place, or as long as many."""
    lines = content.split(b"\n")
    i, k = (int(rng.integers(len(lines))) for _ in range(2))
    what = int(rng.integers(5))
    if what == 0:
        del lines[i]
    elif what == 1:
        lines.insert(k, lines[i])
    elif what == 2:
        lines[i], lines[k] = lines[k], lines[i]
    elif what == 3:
        lines[i] = lines[i].replace(b" ", b"").replace(b"\t", b"")
    else:
        lines[i] = lines[i] * 500
    return b"\n".join(lines)


def _fields(content, rng):
    """A field of a line is gone, empty, there twice, or another's."""
    lines = content.split(b"\n")
    i = int(rng.integers(len(lines)))
    separator = b"\t" if b"\t" in lines[i] else b" "
    fields = lines[i].split(separator)
    k, other = (int(rng.integers(len(fields))) for _ in range(2))
    what = int(rng.integers(5))
    if what == 0:
        del fields[k]
    elif what == 1:
        fields[k] = b""
    elif what == 2:
        fields.insert(k, fields[other])
    elif what == 3:
        fields[k], fields[other] = fields[other], fields[k]
    else:
        fields[k] = (b"</s>", b"<s>", b"<unk>", b"\xff\xfe", "語".encode(), b"\0", b"\r", b"\x0b")[int(rng.integers(8))]
    lines[i] = separator.join(fields)
    return b"\n".join(lines)


_TEXT = (_numbers, _numbers, _lines, _fields)


# ---- of JSON


def _json(content, rng):
    """A value is one of another type or size, or gone."""
    try:
        tree = json.loads(content)
    except ValueError:
        return _flip(content, rng)
    return json.dumps(_changed(tree, rng), indent=2).encode()


def _changed(tree, rng):
    """A JSON tree of which one value, at any depth, is another; strings that hold JSON are trees, too."""
    if isinstance(tree, str) and tree[:1] in ("{", "["):
        try:
            return json.dumps(_changed(json.loads(tree), rng))
        except ValueError:
            pass
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
    if not keys or rng.random() < 0.15:
        return VALUES[int(rng.integers(len(VALUES)))]
    key = keys[int(rng.integers(len(keys)))]
    changed = dict(tree) if isinstance(tree, dict) else list(tree)
    what = rng.random()
    if what < 0.15:
        del changed[key]
    elif what < 0.25 and isinstance(changed, dict):
        changed[("x", "", "weight", "mixture")[int(rng.integers(4))]] = changed[key]
    elif what < 0.3 and isinstance(changed, list):
        changed += changed
    else:
        changed[key] = _changed(changed[key], rng)
    return changed


# ---- of safetensors files


def _split(content):
    """The header's entries, and where the tensors begin."""
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), 8 + length


def _joined(entries, body: bytes) -> bytes:
    header = json.dumps(entries).encode()
    header += b" " * (-(8 + len(header)) % 64)
    return struct.pack("<Q", len(header)) + header + body


def _values(content, rng):
    """Some values of one tensor are extreme ones, or others of it; the header stays valid."""
    entries, start = _split(content)
    names = [name for name in entries if name != "__metadata__" and entries[name]["data_offsets"][1] > 0]
    # by name first: a vocabulary's few numbers are as interesting as a matrix
    entry = entries[names[int(rng.integers(len(names)))]]
    begin, end = (start + place for place in entry["data_offsets"])
    dtypes = {"F64": "<f8", "I64": "<i8", "F32": "<f4", "I32": "<i4", "U32": "<u4", "U8": "|u1"}
    if begin == end or entry["dtype"] not in dtypes:
        return _flip(content, rng)
    values = np.frombuffer(content[begin:end], dtypes[entry["dtype"]]).copy()
    n = values.size
    some = rng.integers(n, size=min(n, int(2 ** rng.uniform(0, 4))))
    if rng.random() < 0.3:
        some = np.array([[0, n - 1][int(rng.integers(2))]])
    what = rng.random()
    if what < 0.15:
        values[some] = values[rng.integers(n, size=some.size)]
    elif what < 0.25:
        values = values[::-1].copy()
    elif what < 0.35:
        values = np.roll(values, int(rng.integers(1, 4)))
    elif what < 0.45:
        values[:] = values[some[0]]
    elif what < 0.55:
        values = np.frombuffer(rng.bytes(values.nbytes), values.dtype)
    elif values.dtype.kind == "f":
        top = np.finfo(values.dtype).max
        values[some] = [0.0, np.nan, np.inf, -np.inf, top, -top, 1.0, 5e-324, 1e30][int(rng.integers(9))]
    else:
        info = np.iinfo(values.dtype)
        near = int(values[some[0]]) + int(rng.integers(-2, 3))
        several = [0, 1, info.max, info.min, info.max - 1, info.max // 2 + 1, n, n + 1, 1 << 20, near]
        chosen = several[int(rng.integers(len(several)))]
        values[some] = min(max(chosen, info.min), info.max)
    return content[:begin] + values.tobytes() + content[end:]


def _metadata(content, rng):
    """A value of the metadata is one of another type or size."""
    entries, start = _split(content)
    metadata = entries.get("__metadata__", {})
    names = [name for name in metadata if name not in ("format", "format_version")]
    if not names:
        return _flip(content, rng)
    name = names[int(rng.integers(len(names)))]
    metadata[name] = _changed(metadata[name], rng)
    if not isinstance(metadata[name], str) and rng.random() < 0.8:
        metadata[name] = json.dumps(metadata[name])
    return _joined(entries, content[start:])


def _shape(content, rng):
    """A tensor has another shape or type of the same size, another's name, or is gone."""
    entries, start = _split(content)
    names = [name for name in entries if name != "__metadata__"]
    name = names[int(rng.integers(len(names)))]
    entry = entries[name]
    what = int(rng.integers(5))
    if what == 0 and entry["shape"]:
        entry["shape"] = [[1, *entry["shape"]], [int(np.prod(entry["shape"]))], entry["shape"][::-1]][
            int(rng.integers(3))
        ]
    elif what == 1:
        same = {"F32": "I32", "I32": "U32", "U32": "F32", "F64": "I64", "I64": "F64", "U8": "I8"}
        entry["dtype"] = same.get(entry["dtype"], entry["dtype"])
    elif what == 2:
        other = names[int(rng.integers(len(names)))]
        entries[name], entries[other] = entries[other], entries[name]
    elif what == 3:
        entries["x"] = entries.pop(name)
    else:
        key = ("shape", "data_offsets", "dtype")[int(rng.integers(3))]
        entry[key] = _changed(entry[key], rng)
    return _joined(entries, content[start:])
