"""Files, pixels and the arithmetic on pictures."""
