"""An image code that goes on with packets whose CRC failed: eight by eight DCT, fixed lengths, soft bits.

Every block of 8 x 8 pixels is the same number of bits at the same places: luma coefficients and the mean of
each chroma plane, uniformly quantised, Gray-labelled. Blocks are dealt to packets in turn. The receiver takes
for each coefficient the mean of its levels, weighted by what their bits' LLRs and a Laplace prior say of
them, for the mean colours around what the neighbours say. Fixed lengths cost bits; what they buy is that a
wrong bit damages one coefficient of one block.

    systems: {soft: {system: "soft_bits:SoftBits", options: {delivery: llr}}}
"""

import math

import numpy as np
import torch
from scipy.fft import dctn, idctn
from scipy.ndimage import convolve

from semcom.contracts import BudgetError
from semcom.message import Message, Protection, Reconstruction, Stream
from semcom.packets import packet_sizes

SIZE, PACKETS, MOST_BITS = 8, 8, 7
LEAST, MOST = 4, 140
YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
CERTAIN, SPREAD = 30.0, 2.5
# Standard deviations: DC of luma, the two chroma means (all times 8), AC falling with frequency
DC, CHROMA, AC, DECAY = 1.9, 0.45, 0.55, 0.65
# Of packets that don't decode: by what factor LLRs are too certain, and the LLR that a hard decision is worth
TRUST, HARD = 0.5, 0.8
# How near a block's mean is to that of its neighbours, in standard deviations of the mean itself
NEIGHBOURS = 0.35


def coefficients() -> list[tuple[int, int, int, float]]:
    """(plane, row, column, standard deviation) of every coefficient."""
    luma = [
        (0, u, v, AC / (u * u + v * v) ** DECAY if u or v else DC) for u in range(SIZE) for v in range(SIZE)
    ]
    return [*luma, (1, 0, 0, CHROMA), (2, 0, 0, CHROMA)]


def allocation(bits: int) -> list[int]:
    """Bits of every coefficient: each goes where the error is largest."""
    error, given = [deviation**2 for *_, deviation in coefficients()], [0] * len(coefficients())
    for _ in range(bits):
        best = max(range(len(given)), key=lambda i: error[i] if given[i] < MOST_BITS else -1.0)
        given[best] += 1
        error[best] /= 4
    return given


def levels(bits: int, deviation: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Middles of the cells, Gray-labelled bits [levels, bits], width of a cell."""
    number = np.arange(1 << bits)
    width = 2 * SPREAD * deviation * bits**0.5 / len(number)
    gray = number ^ number >> 1
    labels = gray[:, None] >> np.arange(bits)[::-1] & 1
    return (number + 0.5 - len(number) / 2) * width, labels, width


class SoftBits:
    """Options: `delivery` is what is asked of the link for packets whose CRC failed: erase, bits or llr."""

    def __init__(self, delivery: str = "llr") -> None:
        self.delivery = delivery

    def encode(self, image, budget):
        height, width = image.shape[-2:]
        pixels = np.einsum("ij,jhw->ihw", YCC, image.numpy().astype(np.float64))
        pixels[0] -= 0.5
        pixels = np.pad(pixels, ((0, 0), (0, -height % SIZE), (0, -width % SIZE)), mode="edge")
        blocks = pixels.reshape(3, pixels.shape[1] // SIZE, SIZE, -1, SIZE).swapaxes(2, 3)
        planes = dctn(blocks, axes=(-2, -1), norm="ortho").reshape(3, -1, SIZE, SIZE)
        for bits in range(MOST, LEAST - 1, -1):
            candidate = self._message(planes, bits, width, height)
            if budget.fits(candidate):
                return candidate
        raise BudgetError(budget.limit, budget.cost(packet_sizes(candidate)), budget.unit)

    def decode(self, received):
        head = received.first("size")
        columns, rows = -(-received.width // SIZE), -(-received.height // SIZE)
        if head is None:
            return Reconstruction(torch.full((3, received.height, received.width), 0.5), notes=("size lost",))
        bits = head[0]
        llrs = np.zeros((rows * columns, bits))
        intact = np.zeros(rows * columns, bool)
        stream = next(s for s in received.streams if s.name == "blocks")
        for index, chunk in enumerate(stream.chunks):
            mine = llrs[index :: len(stream.chunks)]
            values = self._llrs(chunk, stream.doubtful.get(index))
            mine[:] = values[: mine.size].reshape(mine.shape)
            intact[index :: len(stream.chunks)] = chunk is not None
        planes = rebuilt(llrs * intact[:, None], bits, np.zeros((3, rows * columns)), np.ones(rows * columns))
        conceal(planes, intact.reshape(rows, columns))
        if intact.any() and not intact.all():
            # What is doubtful lies near what its neighbours say
            spread = np.where(intact, 1.0, NEIGHBOURS)
            centres = np.where(intact, 0.0, planes[:, :, 0, 0])
            planes = rebuilt(llrs, bits, centres, spread)
        elif not intact.any():
            planes = rebuilt(llrs, bits, np.zeros((3, rows * columns)), np.ones(rows * columns))
        blocks = idctn(planes, axes=(-2, -1), norm="ortho").reshape(3, rows, columns, SIZE, SIZE)
        pixels = blocks.swapaxes(2, 3).reshape(3, rows * SIZE, columns * SIZE)
        pixels = pixels[:, : received.height, : received.width]
        pixels[0] += 0.5
        rgb = np.einsum("ij,jhw->ihw", np.linalg.inv(YCC), pixels)
        return Reconstruction(torch.from_numpy(rgb).float().clamp(0, 1))

    def _message(self, planes, bits, width, height):
        parts = []
        for (plane, u, v, deviation), given in zip(coefficients(), allocation(bits), strict=True):
            if given:
                _, labels, step = levels(given, deviation)
                number = np.floor(planes[plane, :, u, v] / step + (1 << given) / 2).astype(int)
                parts.append(labels[number.clip(0, (1 << given) - 1)])
        table = np.concatenate(parts, axis=1).astype(np.uint8)
        chunks = tuple(np.packbits(table[i::PACKETS].ravel()).tobytes() for i in range(PACKETS))
        size = Stream("size", Protection.CRITICAL, (bytes([bits]),))
        blocks = Stream("blocks", Protection.BASE, chunks, delivery=self.delivery)
        return Message((size, blocks), width, height)

    @staticmethod
    def _llrs(chunk, doubtful):
        """LLRs of a packet's bits; zero where nothing is known of them."""
        if chunk is None and doubtful is None:
            return np.zeros(MOST * 10_000)
        if chunk is None and doubtful.llrs is not None:
            return TRUST * doubtful.llrs
        data, certainty = (doubtful.data, HARD) if chunk is None else (chunk, CERTAIN)
        return certainty * (2.0 * np.unpackbits(np.frombuffer(data, np.uint8)) - 1)


def rebuilt(llrs: np.ndarray, bits: int, centres: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Coefficients [3, blocks, 8, 8]; `centres` [3, blocks] and `spread` [blocks]: prior of the means."""
    planes, start = np.zeros((3, len(llrs), SIZE, SIZE)), 0
    for (plane, u, v, deviation), given in zip(coefficients(), allocation(bits), strict=True):
        if given:
            part, start = llrs[:, start : start + given], start + given
            about = (centres[plane], spread * deviation) if u == v == 0 else (0.0, deviation)
            planes[plane, :, u, v] = mean(part, deviation, *about)
    return planes


def mean(llrs: np.ndarray, deviation: float, centre, spread) -> np.ndarray:
    """Of coefficients [blocks], given the LLRs of their bits [blocks, bits] and their prior."""
    values, labels, _ = levels(llrs.shape[1], deviation)
    distance = np.abs(values - np.reshape(centre, (-1, 1))) / np.reshape(spread, (-1, 1))
    log = llrs @ labels.T - math.sqrt(2) * distance
    weights = np.exp(log - log.max(axis=1, keepdims=True))
    return weights @ values / weights.sum(axis=1)


def conceal(planes: np.ndarray, known: np.ndarray) -> None:
    """Mean colour of blocks that nothing is known of from those around them, nearest first."""
    known = known.astype(float)
    while 0 < known.sum() < known.size:
        weight = convolve(known, np.ones((3, 3)), mode="constant")
        for plane in planes:
            colour = plane[:, 0, 0].reshape(known.shape)
            around = convolve(colour * known, np.ones((3, 3)), mode="constant") / np.maximum(weight, 1)
            plane[:, 0, 0] = np.where(known > 0, colour, around).ravel()
        known = np.maximum(known, weight > 0)
