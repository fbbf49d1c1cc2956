"""Who calls, and who answers: tokens, certificates, and the addresses that lead a client here."""
