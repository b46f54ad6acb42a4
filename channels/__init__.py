"""Between the antennas: bits, symbols, SNR. Knows nothing of images; the only package that imports Sionna."""
