"""Attention Limits: the objects behind *Representational Strengths and Limitations of Transformers*, made to run.

Import what you need from its room, for example ``attention_limits.problems.sparse_averaging.SparseAveraging``. This
file imports nothing, so that the command line starts without loading torch.
"""
