"""The commands of `python -m shared`, one file for each subject; a file's `add` gives its commands to the parser."""
