"""N-gram models: counting, smoothing, back-off queries."""
