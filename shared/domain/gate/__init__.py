"""Decides whether a model is good enough, by rules over metrics. No I/O."""
