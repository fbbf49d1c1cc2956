"""The command line, one file for each subject; a file's `add` gives its commands to `python -m studio`."""
