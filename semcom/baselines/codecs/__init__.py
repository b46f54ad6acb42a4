"""Classical image codecs: one a file, each a `CODEC`, whose system has the file's name."""
