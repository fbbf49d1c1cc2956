"""Faults on order, for rehearsals."""
