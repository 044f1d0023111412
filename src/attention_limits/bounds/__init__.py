"""Lower bounds made executable: for a unit that is too small, the input on which it must fail."""
