"""Counter-based seeds: what is random depends on what is simulated, never on when or beside what."""

from __future__ import annotations

from hashlib import sha256


def derive(scenario_seed: int, point_id: str, trial: int) -> int:
    """63-bit seed of one trial of one point: the same whatever the batch, the worker or the order."""
    digest = sha256(f"{scenario_seed}/{point_id}/{trial}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
