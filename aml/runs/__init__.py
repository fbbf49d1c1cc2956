"""Runs: what a training logged, by MLflow's protocol, and how a job went, by run history's protocol."""
