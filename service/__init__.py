"""What the local services have in common. It imports neither of them: not `studio/`, not `aml/`."""
