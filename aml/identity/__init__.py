"""Who calls, and who answers: tokens, certificates, and the service's real host names."""
