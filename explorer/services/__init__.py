"""Changes that touch several rows, a file or a queue. Views and tasks call these and do nothing else."""
