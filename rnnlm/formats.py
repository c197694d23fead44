"""Model formats as the command names them."""

FORMAT_NAMES = {
    "native": "native",
    "ngram": "native",
    "arpa": "arpa",
    "mikolov-text": "0.4b-text",
    "mikolov-binary": "0.4b-binary",
    "torch": "torch",
    "onnx": "onnx",
}
"""The formats of rnnlm.io as the command calls them, where that is otherwise."""
ARPA_ENDINGS = (".arpa", ".arpa.gz")
ENDINGS = {**dict.fromkeys(ARPA_ENDINGS, "arpa"), ".onnx": "onnx"}
"""What a file is to be, if its name ends so."""
KEEPING_TOKENIZERS = ("native", "torch", "onnx")
"""Formats whose files say how a text is divided."""
TORCH_ACTIVATIONS = ("tanh", "relu")
