"""Whole links: bit-exact digital, analog, and the abstraction by effective SINR."""
