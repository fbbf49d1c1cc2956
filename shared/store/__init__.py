"""What is written down, under which names, with ETags and leases."""
