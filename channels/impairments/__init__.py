"""What a real radio does to a waveform: one file an idea, put together in `chain`. All off by default."""
