"""What happens between the antennas: channel models and their statistics."""
