"""Constructions."""
