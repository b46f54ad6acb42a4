"""From a picture to a message."""
