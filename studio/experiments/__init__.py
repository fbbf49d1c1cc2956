"""The experiments that the local Studio can train, and the files that describe them."""
