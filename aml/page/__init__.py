"""The page of the local workspace: jobs, models and endpoints, as a browser shows them."""

from aml.page.routes import routes

__all__ = ["routes"]
