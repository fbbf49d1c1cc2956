"""Jobs: what they are, whose turn it is, and how one is carried out in its own process."""
