"""Lower bounds made executable."""
