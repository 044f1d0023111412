"""Tests of the bounds."""
"""Tests of the lower bounds."""
