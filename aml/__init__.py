"""A local Azure Machine Learning workspace: unmodified clients use it as they use the service."""
