"""Weights that prove the upper bounds."""
