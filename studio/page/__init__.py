"""The page of the local Studio, as Studio's portal had one: what is published, where, and how to call it."""

from studio.page.routes import routes

__all__ = ["routes"]
