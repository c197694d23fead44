"""N-gram models: the trie, and looking words up in it."""
