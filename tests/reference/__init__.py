"""What the claims of the quick profile measured when they were last looked at, and how that is compared."""
