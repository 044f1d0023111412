"""Speed and memory, measured: ways to compute the same thing are first shown to agree, and only then timed."""
