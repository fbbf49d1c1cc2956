"""The commands: `python -m aml`."""
