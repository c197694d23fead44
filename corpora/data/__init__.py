"""Datasets: downloads, grammars that make text, samples, splits and statistics."""
