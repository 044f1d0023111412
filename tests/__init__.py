"""Tests: they mirror the package; pages, the book and the commands have files of their own."""
