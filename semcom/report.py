"""What `semcom send` leaves behind: the picture, a montage to look at, and every number as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from semcom.adaptation import Adapted
from semcom.contracts import Budget, BudgetError, System
from semcom.link import PerfectLink, Transmission
from semcom.message import Reconstruction
from semcom.metrics.psnr import psnr
from semcom.metrics.ssim import ssim
from semcom.metrics.topk_agreement import topk_agreement
from semcom.packets import bits_on_wire, bpp
from semcom.picture import images
from semcom.profile import Profile
from semcom.provenance import provenance
from semcom.sheet import Cell, contact_sheet
from semcom.systems import build

_PANEL_WIDTH = 480  # pixels; a montage is for looking, not for measuring
_RIVAL = "avif"
_KEY_COLOUR = torch.tensor([1.0, 0.45, 0.1]).view(3, 1, 1)


def write_report(
    folder: Path,
    photo: Tensor,
    result: Transmission,
    command: Mapping[str, Any],
    system: System,
    adapted: Adapted,
    trials: Mapping[str, Any] | None = None,
    came: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Writes `reconstruction.png`, `montage.png` and `report.json`; returns what the JSON holds.

    Args:
        folder: made where it is not there.
        photo: [3,H,W] float in [0,1], the original.
        result: of sending it.
        command: what was asked for, as plain data; `image` is the photo's file.
        system: that sent it.
        adapted: how its MCSs were chosen.
        trials: of several realisations, see `semcom.trials`.
        came: further metrics of the picture by name; `tasks` is what is found again in it.
    """
    report = summary(photo, result, command)
    report |= {
        "image_sha256": sha256(Path(command["image"]).read_bytes()).hexdigest(),
        **_made_by(system),
        "mcs_reason": adapted.reason,
        "expected_loss": dict(adapted.expected_loss),
        "expected_quality": dict(adapted.expected_quality),
        **came,
        "trials": None if trials is None else dict(trials),
    }
    folder.mkdir(parents=True, exist_ok=True)
    images.save(result.reconstruction.image, folder / "reconstruction.png")
    title = f"{Path(command['image']).name}, {adapted.spec.channel.model} at {report['snr_db']:g} dB"
    montage(photo, result, command["system"], title).save(folder / "montage.png")
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    return report


def _made_by(system: System) -> dict[str, Any]:
    """Profile with its hash and the precision that ran, of systems that have them."""
    profile = getattr(system, "profile", None)
    if not isinstance(profile, Profile):
        return {"profile": None, "precision": None}
    precision = getattr(system, "precision", None)
    return {"profile": {"name": profile.name, "sha256": profile.digest}, "precision": precision}


def summary(photo: Tensor, result: Transmission, command: Mapping[str, Any]) -> dict[str, Any]:
    """Every number of one transmission as plain data."""
    message, received, reconstruction = result.message, result.received, result.reconstruction
    bits = bits_on_wire(message)
    streams: list[dict[str, Any]] = [
        {
            "name": stream.name,
            "class": stream.protection.value,
            "packets": len(stream.chunks),
            "lost": sum(chunk is None for chunk in received.chunks(stream.name)),
            "bits": bits[stream.name],
            "bpp": bits[stream.name] / message.num_pixels,
        }
        for stream in message.streams
    ]
    picture, target = reconstruction.image[None], photo[None]
    return {
        "width": message.width,
        "height": message.height,
        "streams": streams,
        "packets": sum(row["packets"] for row in streams),
        "lost": sum(row["lost"] for row in streams),
        "bits": sum(bits.values()),
        "bpp": bpp(message),
        "snr_db": received.report.snr_db,
        "channel_nmse": received.report.channel_nmse,
        **received.report.figures,
        **({"radio": asdict(received.report.radio)} if received.report.radio else {}),
        "channel_uses": received.report.channel_uses,
        "cbr": received.report.channel_uses / (3 * message.num_pixels),
        "classes": {name: row.as_json() for name, row in received.report.classes.items()},
        "psnr": psnr(picture, target).item(),
        "ssim": ssim(picture, target).item(),
        "received_share": _share(reconstruction.received),
        **_detail(reconstruction),
        "top1_agreement": topk_agreement(picture, target, 1).item(),
        "top5_agreement": topk_agreement(picture, target, 5).item(),
        "caption": reconstruction.caption,
        "sender_notes": list(message.notes),
        "notes": list(reconstruction.notes),
        "seconds": dict(reconstruction.seconds),
        "command": dict(command),
    } | provenance()


def montage(photo: Tensor, result: Transmission, system: str, title: str) -> Image.Image:
    """Original, key regions if any, HCI, reconstruction, and an AVIF sent with the same number of bytes.

    Above each picture that stands for the original are its bits per pixel and its PSNR.
    """
    reconstruction, rate = result.reconstruction, bpp(result.message)
    panels: list[Cell] = [("original", photo)]
    if reconstruction.key_mask is not None and bool(reconstruction.key_mask.any()):
        panels.append(("key regions", _tinted(photo, reconstruction.key_mask)))
    if "hci" in reconstruction.parts:
        panels.append(("HCI as received", reconstruction.parts["hci"]))
    panels.append((_figures(system, rate, reconstruction.image, photo), reconstruction.image))
    rival = None if system == _RIVAL else _rival_of_same_size(photo, result)
    if rival is not None:
        panels.append((_figures(f"{_RIVAL.upper()} without loss", *rival, photo), rival[1]))
    columns = len(panels) if len(panels) <= 3 else 2 if len(panels) == 4 else 3  # as full as can be
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    height = max(1, round(_PANEL_WIDTH * photo.shape[-2] / photo.shape[-1]))
    return contact_sheet(rows, (_PANEL_WIDTH, height), font_size=16, heading=title)


def _figures(name: str, rate: float, picture: Tensor, photo: Tensor) -> str:
    return f"{name}: {rate:.4f} bpp, PSNR {psnr(picture[None], photo[None]).item():.2f} dB"


def _rival_of_same_size(photo: Tensor, result: Transmission) -> tuple[float, Tensor] | None:
    """Bits per pixel and picture; None where it cannot do with so few bytes, or values were sent."""
    rate = bpp(result.message)
    if rate == 0:
        return None
    system = build(_RIVAL)
    try:
        message = system.encode(photo, Budget.of_bpp(rate, result.message.width, result.message.height))
    except BudgetError:
        return None
    (received,) = PerfectLink().send([message], 0.0, [0])
    return bpp(message), system.decode(received).image


def _share(received: Tensor | None) -> float | None:
    """Share of the picture that rests on received detail."""
    return None if received is None else received.mean().item()


def _detail(reconstruction: Reconstruction) -> dict[str, Any]:
    """Where the picture rests on received detail, cell by cell of 16×16 pixels, and in shares of the cells.

    A row of `detail_map` has a letter a cell: `R` received key detail, `L` key detail that was lost, `.`
    generated: everything that the HCI does not show is the receiver's. `?` is generated where the map of the
    key regions was lost: how much of it was to be key is not known, and `lost_share` is null.
    """
    if reconstruction.received is None:
        return {"detail_map": None, "lost_share": None, "generated_share": None}
    received, key = reconstruction.received > 0, reconstruction.key_mask
    missing = torch.full_like(received, ord("?"), dtype=torch.long)
    if key is not None:
        missing = torch.where(key, ord("L"), ord("."))
    letters = torch.where(received, ord("R"), missing)
    return {
        "detail_map": ["".join(map(chr, row)) for row in letters.tolist()],
        "lost_share": None if key is None else (key & ~received).float().mean().item(),
        "generated_share": (~received).float().mean().item(),
    }


def _tinted(photo: Tensor, key_mask: Tensor) -> Tensor:
    cells = key_mask.float()[None, None]
    mask = F.interpolate(cells, scale_factor=16)[0, :, : photo.shape[-2], : photo.shape[-1]]
    return photo * (1 - 0.45 * mask) + 0.45 * mask * _KEY_COLOUR
