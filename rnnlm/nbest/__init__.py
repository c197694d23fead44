"""N-best lists: reading, rescoring, and the word error rate."""
