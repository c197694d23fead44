"""Text, vocabularies and datasets: everything that is the same for every model."""

from corpora.errors import CorpusError, FormatError

__all__ = ["CorpusError", "FormatError"]
