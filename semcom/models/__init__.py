"""Small networks and codecs that the transmitter and the receiver share."""
