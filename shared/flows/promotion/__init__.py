"""From an accepted job to a proven switch, and back."""
