"""What a profile's configurations and tables must hold, so that none of them hangs or lies later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

LARGEST_WEIGHT = 16384.0
"""Of any floating-point value; the shipped ones stay below 1400, and float16 ends at 65504."""
_FREQUENCY_SUM = 4096  # of the key stream's range coder
_MOST_TOKENS = 1 << 15  # tokens are stored as int16
_LARGEST_SIZE, _MOST_BLOCKS = 1 << 16, 64


class UnfitError(ValueError):
    """The reason why a part cannot be used, without its name."""


def check_config(config: object) -> dict[str, Any]:
    """A configuration: words to positive sizes that a machine can build. Raises `UnfitError`."""
    if not isinstance(config, dict):
        raise UnfitError("its configuration is not a mapping")
    for key, value in config.items():
        most = _MOST_BLOCKS if key.startswith("num_") else _LARGEST_SIZE
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, dict | list) or number is None:
                raise UnfitError(f"its configuration has no plain value for {key[:60]!r}")
            if isinstance(number, int | float) and not isinstance(number, bool) and not 0 < number <= most:
                raise UnfitError(f"its configuration has {key[:60]!r} of {number:.6g}, beyond 1 to {most}")
    return config


def check_tensors(part: str, tensors: Mapping[str, Tensor]) -> None:
    """Values of a part: finite and of a sane size, and what its name promises. Raises `UnfitError`."""
    for name, value in tensors.items():
        if not value.is_floating_point():
            continue
        if not bool(torch.isfinite(value).all()):
            raise UnfitError(f"{name} holds values that are not finite")
        if value.numel() and float(value.abs().max()) > LARGEST_WEIGHT:
            raise UnfitError(f"{name} holds values beyond ±{LARGEST_WEIGHT:g}")
    check = _CHECKS.get(part)
    if check is not None:
        check(tensors)


def _key_tables(tensors: Mapping[str, Tensor]) -> None:
    for name, dims in (("sets", 1), ("symbols", 3)):
        table = _integers(tensors, name, dims)
        if int(table.min()) < 1 or bool((table.sum(-1) != _FREQUENCY_SUM).any()):
            raise UnfitError(f"frequencies in {name} must be positive and sum to {_FREQUENCY_SUM}")


def _key_shares(tensors: Mapping[str, Tensor]) -> None:
    share, bpp = _floats(tensors, "share", 1), _floats(tensors, "bpp", 1)
    if share.shape != bpp.shape or not bool(((share >= 0) & (share <= 1)).all()):
        raise UnfitError("share must be 0 to 1, one for each bpp")
    if float(bpp.min()) <= 0 or bool((bpp.diff() <= 0).any()):
        raise UnfitError("bpp must be positive and rise")


def _enhancer_ranges(tensors: Mapping[str, Tensor]) -> None:
    for name, dims in (("dense", 4), ("outer", 2)):
        ranges = _floats(tensors, name, dims)
        if ranges.shape[-1] != 2 or not bool((ranges[..., 0] < ranges[..., 1]).all()):
            raise UnfitError(f"{name} must hold pairs of a lowest and a higher value")


def _vocabulary(tensors: Mapping[str, Tensor]) -> None:
    ones = _integers(tensors, "ones", 1)
    if not 1 < len(ones) <= _MOST_TOKENS or int(ones.min()) < 1:
        raise UnfitError("ones must hold a positive count for each token")
    for name, tokens in (("twos", 2), ("threes", 3)):
        table = _integers(tensors, name, 2)
        if table.shape[1] != tokens + 1 or int(table[:, -1].min()) < 1:
            raise UnfitError(f"{name} must hold {tokens} tokens and a positive count a row")
        if int(table[:, :-1].min()) < 0 or int(table[:, :-1].max()) >= len(ones):
            raise UnfitError(f"{name} names tokens that do not exist")
    definition = _integers(tensors, "definition", 1)
    if definition.dtype != torch.uint8:
        raise UnfitError("definition must be bytes")
    try:
        bytes(definition.tolist()).decode()
    except UnicodeDecodeError as error:
        raise UnfitError("definition is not text") from error


def _tensor(tensors: Mapping[str, Tensor], name: str, dims: int) -> Tensor:
    if name not in tensors:
        raise UnfitError(f"{name} is missing")
    if tensors[name].ndim != dims or not tensors[name].numel():
        raise UnfitError(f"{name} must have {dims} dimensions and values")
    return tensors[name]


def _integers(tensors: Mapping[str, Tensor], name: str, dims: int) -> Tensor:
    table = _tensor(tensors, name, dims)
    if table.dtype not in (torch.uint8, torch.int16, torch.int32, torch.int64):
        raise UnfitError(f"{name} must be integers")
    return table


def _floats(tensors: Mapping[str, Tensor], name: str, dims: int) -> Tensor:
    table = _tensor(tensors, name, dims)
    if not table.is_floating_point():
        raise UnfitError(f"{name} must be floating-point numbers")
    return table


_CHECKS: dict[str, Callable[[Mapping[str, Tensor]], None]] = {
    "key_tables": _key_tables,
    "key_shares": _key_shares,
    "enhancer_ranges": _enhancer_ranges,
    "vocabulary": _vocabulary,
}
