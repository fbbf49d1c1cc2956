"""Is this model good enough: rules over metrics, decided without I/O."""
