"""The resource grid: pilots, channel estimation, equalisation, SINR."""
