"""Stage `air`: the table by which the sender chooses what to send over a channel (`semcom.air_quality`).

Nothing is trained: pictures of validation photos are coded at a few rates, or sent as values at a few SNRs of
white noise, decoded by the profile's receiver, and measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from semcom.air_quality import METRICS, PART
from semcom.contracts import Budget
from semcom.link import PerfectLink
from semcom.message import LinkReport, Message, Protection, ReceivedAnalogStream, ReceivedMessage
from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.metrics.psnr import psnr
from semcom.packets import HEADER_BYTES
from semcom.picture import images
from semcom.profile import write_part
from semcom.provenance import provenance
from semcom.receiver import analog
from semcom.receiver.concealment import grey_picture
from semcom.semantic import SemanticSystem
from semcom.streams.header import NUM_BYTES
from semcom.train.data.crops import list_photos
from semcom.train.training_run import DATA_TERMS, TrainingRun

WIDTH, HEIGHT = 512, 384
_PHOTOS = 4
_DIGITAL_BPP = (0.002, 0.004, 0.009, 0.02, 0.05, 0.15)
_ANALOG = ((3, -10.0), (3, -5.0), (3, 0.0), (7, 3.0), (13, 6.0), (13, 15.0))  # values a cell, SNR in dB


def train(wanted: TrainingRun) -> None:
    """Measures the part `air_quality`."""
    paths = list_photos(wanted.validation)
    photos = [crop for path in paths if (crop := _middle(images.load(path))) is not None][:_PHOTOS]
    system = SemanticSystem(wanted.profile, caption="none", num_words=0, card=False, key_share=0)
    tensors = digital_curve(system, photos) | analog_curve(system, photos)
    tensors["grey"] = _scores(photos, lambda photo: grey_picture(WIDTH, HEIGHT))
    card = {
        "stage": "air",
        "data": list(wanted.validation),
        "data_terms": DATA_TERMS,
        "photos": len(photos),
        "pixels": [WIDTH, HEIGHT],
        "metrics": list(METRICS),
        "table": {name: value.tolist() for name, value in tensors.items()},
    } | provenance()
    write_part(wanted.profile, PART, {}, tensors, card)


def digital_curve(system: SemanticSystem, photos: Sequence[Tensor]) -> dict[str, Tensor]:
    """Metrics by bits a pixel of all that is not critical."""
    rates, rows = [], []
    for bpp in _DIGITAL_BPP:
        spent: list[float] = []

        def decoded(photo: Tensor, bpp: float = bpp, spent: list[float] = spent) -> Tensor:
            overhead = 8 * (NUM_BYTES + 2 * HEADER_BYTES) / (WIDTH * HEIGHT)
            message = system.encode(photo, Budget.of_bpp(bpp + overhead, WIDTH, HEIGHT))
            spent.append(_bpp(message))
            return system.decode(PerfectLink().send([message], 0.0, [0])[0]).image

        rows.append(_scores(photos, decoded))
        rates.append(sum(spent) / len(spent))
    return {"digital_bpp": torch.tensor(rates), "digital": torch.stack(rows)}


def analog_curve(system: SemanticSystem, photos: Sequence[Tensor]) -> dict[str, Tensor]:
    """Metrics by bits a pixel of information in the values."""
    wished, budget = system.with_options(mode="analog"), _everything()
    rates, rows = [], []
    for values_a_cell, snr_db in _ANALOG:
        count = values_a_cell * WIDTH * HEIGHT // 256
        variance = 10 ** (-snr_db / 10)
        error = torch.full((count,), variance / (1 + variance))
        rates.append(float(analog.information(error[None])) / (WIDTH * HEIGHT))
        generator = torch.Generator().manual_seed(0)

        def decoded(
            photo: Tensor,
            error: Tensor = error,
            variance: float = variance,
            snr_db: float = snr_db,
            generator: torch.Generator = generator,
        ) -> Tensor:
            sent = wished.encode(photo, budget).streams[0].values[: len(error)]  # type: ignore[attr-defined]
            sent = sent / sent.square().mean().sqrt()
            noisy = (sent + variance**0.5 * torch.randn(len(error), generator=generator)) / (1 + variance)
            stream = ReceivedAnalogStream.of(analog.STREAM, noisy, error)
            return wished.decode(ReceivedMessage((stream,), WIDTH, HEIGHT, LinkReport(snr_db, 0, {}))).image

        rows.append(_scores(photos, decoded))
    order = sorted(range(len(rates)), key=rates.__getitem__)
    return {
        "analog_bpp": torch.tensor([rates[i] for i in order]),
        "analog": torch.stack([rows[i] for i in order]),
    }


def _everything() -> Budget:
    return Budget(1 << 30, lambda sizes: sum(size for _, size in sizes), "channel uses")


def _scores(photos: Sequence[Tensor], decoded: Callable[[Tensor], Tensor]) -> Tensor:
    """[3], means over the photos in the order of `METRICS`."""
    rows = []
    for photo in photos:
        pair = decoded(photo)[None], photo[None]
        rows.append(torch.stack([metric(*pair).mean() for metric in (lpips, dists, psnr)]))
    return torch.stack(rows).mean(0)


def _bpp(message: Message) -> float:
    spent = sum(s.num_bytes for s in message.streams if s.protection is not Protection.CRITICAL)
    return 8 * spent / message.num_pixels


def _middle(photo: Tensor) -> Tensor | None:
    """The middle of a photo; None where it is smaller."""
    top, left = (photo.shape[1] - HEIGHT) // 2, (photo.shape[2] - WIDTH) // 2
    if min(top, left) < 0:
        return None
    return photo[:, top : top + HEIGHT, left : left + WIDTH].contiguous()
