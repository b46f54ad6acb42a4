"""Training of the embedded profile: one stage a file, one command."""
