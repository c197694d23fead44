"""Counts of n-grams: from text, in files, merged."""
