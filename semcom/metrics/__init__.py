"""Picture quality: one metric a file, functions on batches [B,3,H,W] in [0,1]."""
