"""The definition of a New web service, and the graph in it."""
