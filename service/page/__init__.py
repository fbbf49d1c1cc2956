"""The frame of a local service's page: layout, style, who is answered, lists by pages, samples and their buttons."""
