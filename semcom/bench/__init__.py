"""Benchmarks: systems × images × budgets × SNR, one JSON document, plots and a table; built on the sweeps."""
