"""Misbehaving on order."""
