"""Tests of the constructions."""
