"""Tests of the lower bounds."""
