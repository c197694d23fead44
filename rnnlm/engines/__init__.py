"""Training algorithms: how a network learns from a stream of words."""
