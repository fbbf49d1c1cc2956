"""The demo: a story that is told and checked while it happens."""
