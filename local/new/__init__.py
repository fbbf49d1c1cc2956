"""`run.py new`: from a table of a person's own data to a pipeline that retrains, judges and promotes."""
