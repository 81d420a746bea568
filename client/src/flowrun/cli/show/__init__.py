"""How objects read on a terminal: pure functions from objects to words, and the terminal itself."""
