"""What tokenizers have in common, and the one that leaves the text as it is: splitting on whitespace."""

from __future__ import annotations

from collections.abc import Sequence

LITERALS = ("<s>", "</s>", "<unk>")  # single tokens, but for those that spell everything out


class Tokenizer:
    """Splitting on whitespace: the text as it is.  The other tokenizers derive from it."""

    name = "whitespace"
    worth_processes = 1 << 23  # bytes of text: of fewer, starting processes would take longer than they save
    divides_lines = True  # a line that is cut after a space or a tab has the same tokens

    def __init__(self, lower: bool = False):
        self.lower = lower

    @property
    def spec(self) -> str:
        """``name`` or ``name+lower``: what a model file keeps; ``from_spec`` reads it."""
        return f"{self.name}+lower" if self.lower else self.name

    @property
    def is_identity(self) -> bool:
        """Whether ``split`` returns its argument, so that text need not be cut at line ends."""
        return self.name == "whitespace" and not self.lower

    def split(self, text: bytes) -> bytes:
        """Whole lines, with or without the last line end, to the same lines with separated tokens."""
        if self.is_identity:
            return text
        decoded = text.decode("utf-8", "surrogateescape")
        decoded = decoded.lower() if self.lower else decoded
        return "\n".join(map(self._split_line, decoded.split("\n"))).encode("utf-8", "surrogateescape")

    def _split_line(self, line: str) -> str:
        return line

    def join(self, words: Sequence[bytes]) -> str:
        """The words of a sentence as readable text; what is not UTF-8 is shown as U+FFFD."""
        return self._join([word.decode("utf-8", "replace") for word in words])

    def _join(self, words: list[str]) -> str:
        return " ".join(words)

    def __repr__(self) -> str:
        return f"Tokenizer({self.spec})"
