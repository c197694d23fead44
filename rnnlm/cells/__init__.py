"""Recurrent layers, one file a cell: forward steps, and back-propagation through time with its updates."""
