"""Text: reading it, dividing it into tokens, counting words and turning them into ids."""
