"""Output layers, one file a layer: scores, probabilities, errors and updates of groups of rows."""
