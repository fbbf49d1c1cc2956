"""One file for each of Studio's APIs: addresses to records and back."""
