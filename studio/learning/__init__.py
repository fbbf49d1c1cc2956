"""A table becomes a model, and a model scores rows."""
