"""The 5G LDPC decoder: layered, 8-bit, in the vector registers."""
