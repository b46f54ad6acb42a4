"""Neural networks, without any wire format."""
