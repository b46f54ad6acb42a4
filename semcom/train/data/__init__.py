"""What stages are fed with."""
