"""What is told of an impaired radio."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RadioReport:
    """What an impaired radio did to a burst, in truth."""

    evm: float
    """Error vector magnitude of both ends in the band, linear, without gain and common phase error."""
    papr_db: float
    """Peak over the mean power of what is sent, before clipping: the mean over OFDM symbols."""
