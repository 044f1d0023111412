"""The machinery of the book: claims, pages, runs, the gate and the command line."""
