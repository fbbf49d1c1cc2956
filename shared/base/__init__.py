"""Parts that every room may use. No word of the domain is in them."""
