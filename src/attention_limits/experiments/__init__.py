"""What training finds."""
