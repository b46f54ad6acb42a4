"""Training: one stage a file."""
