"""Rules and records; no I/O."""
