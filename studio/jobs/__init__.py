"""BES jobs: the queue, the processes, and what a job does."""
