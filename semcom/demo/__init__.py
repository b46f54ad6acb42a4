"""The page: a photo, a channel, and what comes of it, in a browser on this machine (`semcom demo`)."""
