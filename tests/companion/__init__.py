"""Tests of the companion: claims, pages, runs, the gate, the tables, the Sphinx reader and the command line."""
