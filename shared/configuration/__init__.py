"""`pipelines.yaml`: its keys, how it is read, and what is said of its mistakes."""
