"""What is asked: exact targets, samplers and encodings."""
