"""LoRA adapters (arXiv 2106.09685) of the receiver's networks: `peft` on convolutions and linear layers.

Two uses. The stage `channel` tunes the decoder through erasures and noise while its base stays frozen; its
adapters are merged when the decoder is built. The stage `quantise` puts adapters on a base in NF4: they
start from what rounding lost (LoftQ, arXiv 2310.08659), and are merged where the rounded weight is held in
float32, and run beside it where it is packed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

_NARROWEST = 4  # times the rank: a narrower layer is not worth its adapter
_A_WEIGHT = ".lora_A.weight"


def attach(model: nn.Module, rank: int) -> None:
    """Freezes a network and puts trainable adapters, which start as nothing, beside its layers."""
    names = [name for name, layer in model.named_modules() if _worth(layer, rank)]
    config = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules=names)
    inject_adapter_in_model(config, model.requires_grad_(False))


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """The adapters' weights by name, as `load` takes them."""
    state: dict[str, Tensor] = get_peft_model_state_dict(model)
    return state


def load(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Attaches trained adapters to a network and merges them where the base's weight is in floating point.

    Raises:
        ValueError: the adapters are not of this network.
    """
    names = [name.removesuffix(_A_WEIGHT) for name in state if name.endswith(_A_WEIGHT)]
    known = dict(model.named_modules())
    strangers = [name for name in names if name not in known]
    if strangers or not names:
        raise ValueError(f"adapters do not fit the network: {', '.join(strangers[:3]) or 'none'}")
    rank = len(state[names[0] + _A_WEIGHT])
    config = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules=names)
    inject_adapter_in_model(config, model)
    set_peft_model_state_dict(model, dict(state))
    model.requires_grad_(False)
    for name, layer in layers(model).items():
        base = layer.get_base_layer()
        if cast(Tensor, base.weight).is_floating_point():
            layer.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, base)


def restore(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Sets attached adapters to trained ones of the same rank, to train on.

    Raises:
        ValueError: the adapters are not of this network.
    """
    missing = tensors(model).keys() ^ state.keys()
    if missing:
        raise ValueError(f"adapters do not fit the network: {', '.join(sorted(missing)[:3])}")
    set_peft_model_state_dict(model, dict(state))


@torch.no_grad()
def start_from_error(model: nn.Module, exact: Mapping[str, Tensor]) -> None:
    """Sets attached adapters to the best approximation of what the base's weights lack of the exact ones.

    Args:
        model: with adapters attached to rounded weights.
        exact: state of the network before it was rounded.
    """
    for name, layer in layers(model).items():
        error = exact[f"{name}.weight"] - cast(Tensor, layer.get_base_layer().weight)
        u, s, v = torch.linalg.svd(error.flatten(1), full_matrices=False)
        a, b = (cast(Tensor, part["default"].weight) for part in (layer.lora_A, layer.lora_B))
        half = s[: len(a)].sqrt()
        b.copy_((u[:, : len(a)] * half).view_as(b))
        a.copy_((half[:, None] * v[: len(a)]).view_as(a))


def layers(model: nn.Module) -> dict[str, LoraLayer]:
    """Layers that have an adapter, by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}


def _worth(layer: nn.Module, rank: int) -> bool:
    if isinstance(layer, nn.Conv2d):
        return min(layer.in_channels, layer.out_channels) >= _NARROWEST * rank
    return isinstance(layer, nn.Linear) and min(layer.in_features, layer.out_features) >= _NARROWEST * rank
