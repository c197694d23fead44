"""Recurrent language models from Elman's network on."""
