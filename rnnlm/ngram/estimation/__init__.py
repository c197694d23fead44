"""From counts of n-grams to probabilities: smoothing, back-off weights, pruning."""
