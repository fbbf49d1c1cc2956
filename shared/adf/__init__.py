"""From Data Factory to `pipelines.yaml`: the activities that retrained and updated a Studio web service."""
