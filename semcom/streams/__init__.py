"""What travels: one file a stream, both directions."""
