"""The coders that streams share."""
