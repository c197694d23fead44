"""Objectives: what a training step of word vectors predicts, and its kernels."""
