"""Models made of models: mixtures and their weights, caches, played-back probabilities, comparisons."""
