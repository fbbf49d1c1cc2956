"""One file for each service spoken to. Wire formats, status codes and addresses are known here and nowhere else."""
