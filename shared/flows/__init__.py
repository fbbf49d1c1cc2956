"""The order of steps: record the intention, act, record the outcome."""
