"""Model formats as the command names them."""

FORMAT_NAMES = {
    "native": "native",
    "ngram": "native",
    "arpa": "arpa",
    "mikolov-text": "0.4b-text",
    "mikolov-binary": "0.4b-binary",
}
"""The formats of rnnlm.io as the command calls them, where that is otherwise."""
ARPA_ENDINGS = (".arpa", ".arpa.gz")
