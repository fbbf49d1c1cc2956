"""Runs: what a training logged, by MLflow's protocol, and how a job went, by that of run history."""
