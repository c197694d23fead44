"""Long work: progress, memory, Ctrl-C, and how it goes on after a stop."""
