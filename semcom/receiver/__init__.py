"""From a received message to a picture."""
