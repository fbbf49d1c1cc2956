"""The demo: a story that is shown and checked while it happens."""
