"""What `semcom send` leaves behind: the picture, a montage to look at, and every number as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from semcom.contracts import Budget, BudgetError
from semcom.link import PerfectLink, Transmission
from semcom.message import Reconstruction
from semcom.metrics.psnr import psnr
from semcom.metrics.ssim import ssim
from semcom.metrics.topk_agreement import topk_agreement
from semcom.packets import bits_on_wire, bpp
from semcom.picture import images
from semcom.picture.pixels import to_pixels
from semcom.provenance import provenance
from semcom.systems import build

_PANEL_WIDTH = 480  # pixels; a montage is for looking, not for measuring
_CAPTION_HEIGHT, _GAP = 26, 6
_KEY_COLOUR = torch.tensor([1.0, 0.45, 0.1]).view(3, 1, 1)


def write_report(
    folder: Path, photo: Tensor, result: Transmission, command: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes `reconstruction.png`, `montage.png` and `report.json`; returns what the JSON holds."""
    report = summary(photo, result, command)
    folder.mkdir(parents=True, exist_ok=True)
    images.save(result.reconstruction.image, folder / "reconstruction.png")
    montage(photo, result).save(folder / "montage.png")
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    return report


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
        "notes": list(reconstruction.notes),
        "seconds": dict(reconstruction.seconds),
        "command": dict(command),
    } | provenance()


def montage(photo: Tensor, result: Transmission) -> Image.Image:
    """Original, key regions if any, HCI, reconstruction, and an AVIF sent with the same number of bytes."""
    reconstruction = result.reconstruction
    panels = [("original", photo)]
    if reconstruction.key_mask is not None and bool(reconstruction.key_mask.any()):
        panels.append(("key regions", _tinted(photo, reconstruction.key_mask)))
    if "hci" in reconstruction.parts:
        panels.append(("HCI as received", reconstruction.parts["hci"]))
    panels.append((f"semcom, {bpp(result.message):.4f} bpp", reconstruction.image))
    rival = _avif_of_same_size(photo, result)
    if rival is not None:
        panels.append(("AVIF, same bytes, no loss", rival))
    return _grid(panels, photo.shape[-1] / photo.shape[-2])


def _avif_of_same_size(photo: Tensor, result: Transmission) -> Tensor | None:
    if not bpp(result.message):
        return None  # analog: no bytes to match
    system = build("avif")
    budget = Budget.of_bpp(bpp(result.message), result.message.width, result.message.height)
    try:
        message = system.encode(photo, budget)
    except BudgetError:
        return None
    (received,) = PerfectLink().send([message], 0.0, [0])
    return system.decode(received).image


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


def _grid(panels: list[tuple[str, Tensor]], aspect: float) -> Image.Image:
    """Panels in rows of three, each with its caption above."""
    columns, height = 3, round(_PANEL_WIDTH / aspect)
    rows = -(-len(panels) // columns)
    cell = (_PANEL_WIDTH + _GAP, height + _CAPTION_HEIGHT + _GAP)
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for index, (caption, picture) in enumerate(panels):
        x, y = _GAP + index % columns * cell[0], _GAP + index // columns * cell[1]
        panel = Image.fromarray(to_pixels(picture)).resize((_PANEL_WIDTH, height), Image.Resampling.LANCZOS)
        draw.text((x, y + 3), caption, fill="black", font=font)
        sheet.paste(panel, (x, y + _CAPTION_HEIGHT))
    return sheet
