"""Azure Machine Learning v2: a workspace, its jobs and runs, its models and online endpoints."""
