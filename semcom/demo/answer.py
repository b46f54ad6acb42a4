"""What the studio shows, as plain data for the page: numbers, sentences, and pictures as data URLs."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from semcom.demo import settings as texts
from semcom.demo.photos import as_png
from semcom.metrics.registry import find
from semcom.packets import bits_on_wire, bpp

if TYPE_CHECKING:
    from torch import Tensor

    from semcom.demo.air import Air
    from semcom.demo.settings import Settings
    from semcom.demo.studio import Sent, Shown

_KEY, _LOST, _RECEIVED = (1.0, 0.45, 0.1), (0.9, 0.1, 0.1), (0.1, 0.7, 0.3)
_LOWEST_DB, _HIGHEST_DB = -25.0, 10.0
_MOST_PIXELS = 256  # a side of the picture of the channel


def answer(photo: Tensor, shown: Shown, settings: Settings) -> dict[str, Any]:
    """Everything the page draws."""
    height, width = photo.shape[1:]
    sent, picture = shown.semantic, shown.semantic.reconstruction
    uses = sent.received.report.channel_uses
    fields = texts.scenario(settings, sent.adapted, uses, width, height)
    notes = list(picture.notes)
    if settings.erased:
        notes.append(f"switched off at the receiver: {', '.join(settings.erased)}")
    return {
        "pictures": {
            "reconstruction": _url(picture.image),
            "rival": None if shown.rival is None else _url(shown.rival.reconstruction.image),
            "mask": None if picture.key_mask is None else _url(_tinted(photo, picture.key_mask, _KEY)),
            "hci": _url(picture.parts["hci"]) if "hci" in picture.parts else None,
            "detail": _detail(photo, sent),
        },
        "caption": picture.caption,
        "streams": _streams(sent, settings),
        "classes": _classes(sent),
        "mcs_reason": sent.adapted.reason,
        "channel_uses": uses,
        "cbr": uses / (3 * width * height),
        "bpp": bpp(sent.adapted.message),
        "channel_nmse": sent.received.report.channel_nmse,
        "notes": notes,
        "quality": _quality(sent),
        "rival": None if shown.rival is None else _rival(shown.rival),
        "rival_name": settings.rival,
        "rival_reason": shown.rival_reason,
        "air": None if shown.air is None else _air(shown.air),
        "yaml": texts.as_yaml(fields),
        "python": texts.as_python(settings, sent.adapted, width, height),
    }


def _streams(sent: Sent, settings: Settings) -> list[dict[str, Any]]:
    bits = bits_on_wire(sent.adapted.message)
    return [
        {
            "name": stream.name,
            "class": stream.protection.value,
            "packets": len(stream.chunks),
            "lost": sum(chunk is None for chunk in sent.received.chunks(stream.name)),
            "bits": bits[stream.name],
            "off": stream.name in settings.erased,
        }
        for stream in sent.adapted.message.streams
    ]


def _classes(sent: Sent) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "mcs": f"{row.mcs}: {row.modulation} {row.code_rate:.2f}",  # type: ignore[attr-defined]
            "packets": row.packets,
            "lost": row.lost,
            "expected_loss": sent.adapted.expected_loss.get(name),
            "sinr_db": row.effective_sinr_db,
        }
        for name, row in sent.received.report.classes.items()
    ]


def _quality(sent: Sent) -> list[dict[str, Any]]:
    return [
        {
            "label": find(name).label,
            "value": f"{value:.{find(name).digits}f}",
            "higher_is_better": find(name).higher_is_better,
        }
        for name, value in sent.quality.items()
    ]


def _rival(sent: Sent) -> dict[str, Any]:
    return {
        "quality": _quality(sent),
        "bpp": bpp(sent.adapted.message),
        "channel_uses": sent.received.report.channel_uses,
        "classes": _classes(sent),
        "notes": list(sent.reconstruction.notes),
    }


def _air(air: Air) -> dict[str, Any]:
    return {
        "modulation": air.modulation,
        "before": [[round(v, 3) for v in point] for point in air.before.tolist()],
        "after": [[round(v, 3) for v in point] for point in air.after.tolist()],
        "gain": _url(_heat(air.gain_db)),
        "lowest_db": _LOWEST_DB,
        "highest_db": _HIGHEST_DB,
        "duration_ms": air.duration_ms,
        "bandwidth_mhz": air.bandwidth_mhz,
    }


def _heat(gain_db: Tensor) -> Tensor:
    """[3,subcarriers,OFDM symbols] of gains [OFDM symbols, subcarriers]: time to the right, frequency up."""
    from matplotlib import colormaps

    grid = gain_db.float().T.flip(0)[None, None]
    size = min(grid.shape[2], _MOST_PIXELS), min(grid.shape[3], _MOST_PIXELS)
    levels = (F.adaptive_avg_pool2d(grid, size)[0, 0] - _LOWEST_DB) / (_HIGHEST_DB - _LOWEST_DB)
    colours = torch.from_numpy(colormaps["viridis"](levels.clamp(0, 1).numpy())[..., :3])
    return colours.permute(2, 0, 1).float()


def _detail(photo: Tensor, sent: Sent) -> str | None:
    """Green where key detail arrived, red where it was lost; all else is generated."""
    picture = sent.reconstruction
    if picture.received is None or picture.key_mask is None:
        return None
    arrived = picture.received > 0
    image = _tinted(photo.mean(0, keepdim=True).expand(3, -1, -1), arrived, _RECEIVED)
    return _url(_tinted(image, picture.key_mask & ~arrived, _LOST))


def _tinted(photo: Tensor, cells: Tensor, colour: tuple[float, float, float]) -> Tensor:
    mask = F.interpolate(cells.float()[None, None], scale_factor=16)[0, :, : photo.shape[1], : photo.shape[2]]
    return photo * (1 - 0.45 * mask) + 0.45 * mask * torch.tensor(colour).view(3, 1, 1)


def _url(picture: Tensor) -> str:
    return "data:image/png;base64," + base64.b64encode(as_png(picture)).decode()
