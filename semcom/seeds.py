"""Counter-based seeds: what is random depends on what is simulated, never on when or beside what."""

from __future__ import annotations

from hashlib import sha256


def derive(scenario_seed: int, subject: str, trial: int) -> int:
    """63-bit seed of one trial of one subject: the same whatever the batch, the worker or the order."""
    digest = sha256(f"{scenario_seed}/{subject}/{trial}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def realisation(scenario_seed: int, image: str, channel: str, snr_db: float, trial: int) -> int:
    """Seed of a channel realisation, and of nothing else: every system meets the same fades.

    Args:
        scenario_seed: of the scenario.
        image: SHA-256 of the photo's file.
        channel: canonical description of what lies between the antennas. MCSs, budgets and systems are no
            part of it, so that differences between them are paired.
        snr_db: Es/N0 per resource element.
        trial: number of the realisation, from 0.
    """
    return derive(scenario_seed, f"{image}/{channel}/{float(snr_db)!r}", trial)
