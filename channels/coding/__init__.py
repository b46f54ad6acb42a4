"""Bits to coded bits and back: CRC, segmentation, LDPC, rate matching, scrambling, MCS tables."""
