"""Writes channels/data/cir/corridor.npz, the data set that model cir has without a file of one's own.

    python examples/make_corridor.py

In the form of a measurement, made by the method of images: a corridor of 2.4 x 30 m and 2.8 m height, access
point under the ceiling, 48 places of a terminal that walks 30 cm away from it at 1 m/s; direct path and
reflections up to the second order between the walls, floor, ceiling and far end, reflection coefficient -0.6,
carrier 3.5 GHz, two antennas half a wavelength apart at both ends.
"""

from itertools import product
from pathlib import Path

import numpy as np

CARRIER_HZ, LIGHT_M_S, STEP_S, INSTANTS, PLACES, PATHS = 3.5e9, 299_792_458.0, 0.005, 16, 48, 10
SIZE_M, REFLECTION = np.array([30.0, 2.4, 2.8]), -0.6
SOURCE_M, WALK_M_S = np.array([0.5, 1.2, 2.6]), 1.0
OUT = Path(__file__).parents[1] / "channels" / "data" / "cir" / "corridor.npz"


def images() -> tuple[np.ndarray, np.ndarray]:
    """Images of the source [images, 3] and how many walls each has met."""
    places, orders = [], []
    for order in product((-2, -1, 0, 1, 2), repeat=3):
        if sum(map(abs, order)) <= 2:
            n = np.array(order)
            places.append(np.where(n % 2 == 0, n * SIZE_M + SOURCE_M, (n + 1) * SIZE_M - SOURCE_M))
            orders.append(np.abs(n).sum())
    return np.array(places), np.array(orders)


def main() -> None:
    random, wavelength = np.random.default_rng(140), LIGHT_M_S / CARRIER_HZ
    sources, orders = images()
    gains = np.zeros((PLACES, 2, 2, PATHS, INSTANTS), np.complex64)
    delays = np.zeros((PLACES, PATHS), np.float32)
    across = np.array([0.0, wavelength / 2, 0.0])
    for place in range(PLACES):
        start = np.array([random.uniform(3, 25), random.uniform(0.6, 1.8), random.uniform(0.9, 1.6)])
        middle = start + np.array([WALK_M_S * STEP_S * INSTANTS / 2, 0, 0])
        length = np.linalg.norm(sources - middle, axis=1)
        strongest = np.argsort(-(np.abs(REFLECTION) ** orders) / length)[:PATHS]
        delays[place] = (length[strongest] - length.min()) / LIGHT_M_S
        for instant, rx, tx in product(range(INSTANTS), range(2), range(2)):
            at = start + np.array([WALK_M_S * STEP_S * instant, 0, 0]) + rx * across
            way = np.linalg.norm(sources[strongest] + tx * across - at, axis=1)
            amplitude = REFLECTION ** orders[strongest] / way * length.min()
            gains[place, rx, tx, :, instant] = amplitude * np.exp(-2j * np.pi * way / wavelength)
    # A thousandth of the direct path is more than a measurement resolves, and the file is small
    kept = np.round(gains.view(np.float32), 3).view(np.complex64)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(OUT, a=kept, tau=delays, step_s=STEP_S)
    print(OUT, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
