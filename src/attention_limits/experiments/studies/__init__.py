"""Studies: which trials an experiment of the book consists of, and what is computed from their results."""
