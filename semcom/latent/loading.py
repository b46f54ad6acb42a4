"""A latent profile's networks, read by diffusers, transformers and PEFT as they publish them.

| precision | UNet, text encoder | VAE, ControlNet |
|---|---|---|
| fp32, bf16 | that | float32, that |
| int8, nf4 | linear layers by bitsandbytes, the rest as ControlNet | float32, that (GPU: bfloat16) |

On a GPU bitsandbytes is asked for by `quantization_config`, of diffusers and of transformers; diffusers
refuses that on a CPU, so there the same linear layers are replaced after loading, with the same settings.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from semcom.latent import compatibility
from semcom.latent.compatibility import MismatchError
from semcom.latent.sources import Found, require
from semcom.latent.spec import REQUIRED, Component, LatentSpec, Lora
from semcom.networks.latent_diffusion import LatentGenerator, Sampling
from semcom.networks.pseudo_words import PseudoWordReader
from semcom.receiver.precision import Quantization
from semcom.receiver.quantization import quantise_linears

CONTROLNET: Component = "controlnet"
_ROUNDED = (Quantization.INT8, Quantization.NF4)


def located(profile: str, spec: LatentSpec) -> dict[str, Found]:
    """Everything that the generator needs, on this machine and fitting together.

    Raises:
        MissingError: a component is missing or damaged.
        MismatchError: components do not fit.
    """
    wanted = [name for name in (*REQUIRED, CONTROLNET) if name in REQUIRED or name in spec.models]
    found: dict[str, Found] = {name: require(profile, name, spec.models.get(name)) for name in wanted}
    compatibility.check(spec, compatibility.configurations(found))
    return found


def precision_of(spec: LatentSpec, wish: Quantization, device: str) -> Quantization:
    """What a wish comes to: the profile's, else bf16 on a GPU and fp32 on a CPU."""
    if wish is not Quantization.AUTO:
        return wish
    if spec.precision is not Quantization.AUTO:
        return spec.precision
    return Quantization.FP32 if device == "cpu" else Quantization.BF16


def load(
    profile: str,
    spec: LatentSpec,
    precision: Quantization,
    device: str,
    reader: PseudoWordReader | None = None,
    adapters: bool = True,
) -> LatentGenerator:
    """The generator, frozen, on a device.

    Args:
        profile: name, for errors.
        spec: of the profile.
        precision: see the module docstring.
        device: of PyTorch.
        reader: of pseudo-words, where the profile has one.
        adapters: whether its LoRA adapters are used.

    Raises:
        MissingError: a component is missing or damaged.
        MismatchError: components do not fit, or weights do not fit their configuration.
    """
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel

    found = located(profile, spec)
    configs = compatibility.configurations(found)
    kind = _dtype(precision, device)
    unet = _diffusers(UNet2DConditionModel, "unet", found, spec, precision, device)
    vae = _diffusers(AutoencoderKL, "vae", found, spec, Quantization.FP32, device)
    vae.enable_tiling()
    controlnet = None
    if "controlnet" in found:
        plain = Quantization.BF16 if kind is torch.bfloat16 else Quantization.FP32
        controlnet = _diffusers(ControlNetModel, "controlnet", found, spec, plain, device)
    text_encoder, tokenizer = _text(found, spec, configs["text_encoder"], precision, device)
    if adapters:
        attach_loras(unet, spec)
    alphas, prediction = _schedule(found["scheduler"].folder)
    width = unet.config.cross_attention_dim
    if reader is not None and reader.places.shape[1] != width:
        made = reader.places.shape[1]
        raise MismatchError(
            f"profile {profile}: the word_reader makes tokens of {made}, the unet takes {width}"
        )
    parts = unet, vae, text_encoder, tokenizer, alphas
    generator = LatentGenerator(*parts, sampling_of(spec, prediction), controlnet, reader)
    generator.alphas = generator.alphas.to(device)
    if reader is not None:
        reader.to(device)
    return generator.requires_grad_(False).eval()


def sampling_of(spec: LatentSpec, prediction: str) -> Sampling:
    """What a specification says of making pictures."""
    return Sampling(
        prediction=spec.prediction or prediction,
        levels=spec.levels,
        steps=spec.steps,
        guidance_scale=spec.guidance_scale,
        negative_prompt=spec.negative_prompt,
        trust=spec.trust,
        from_hci=spec.start == "hci",
        **spec.strength.model_dump(),
    )


def attach_loras(unet: Any, spec: LatentSpec) -> None:
    """Loads every adapter, sets the weights, and merges them where the profile says so.

    Raises:
        MismatchError: a file is missing or is not an adapter of this UNet.
    """
    for lora in spec.lora:
        path = _adapter_file(lora)
        try:
            with safe_open(path, "pt") as content:
                prefix = "unet" if any(name.startswith("unet.") for name in content.keys()) else None  # noqa: SIM118
            with warnings.catch_warnings():  # that there are several: that is what was asked for
                warnings.filterwarnings("ignore", "Already found a `peft_config`")
                unet.load_lora_adapter(
                    str(path.parent), weight_name=path.name, prefix=prefix, adapter_name=lora.label,
                    local_files_only=True, use_safetensors=True,
                )  # fmt: skip
        except Exception as error:  # of PEFT on a stranger's file: each means that it does not fit
            reason = " ".join(str(error).split())[:200]
            raise MismatchError(f"lora {path}: not an adapter of this unet: {reason}") from error
    names = [lora.label for lora in spec.lora]
    missing = [name for name in names if name not in getattr(unet, "peft_config", {})]
    if missing:
        raise MismatchError(f"lora {missing[0]}: has no layer of this unet")
    if names:
        unet.set_adapters(names, [lora.weight for lora in spec.lora])
    if names and spec.merge_lora:
        unet.fuse_lora(adapter_names=names)
        unet.unload_lora()


def _adapter_file(lora: Lora) -> Path:
    if lora.path.is_file() and lora.path.suffix == ".safetensors":
        return lora.path
    files = sorted(lora.path.glob("*.safetensors")) if lora.path.is_dir() else []
    if len(files) != 1:
        raise MismatchError(f"lora {lora.path}: give a .safetensors file, or a folder with one")
    return files[0]


def _dtype(precision: Quantization, device: str) -> torch.dtype:
    """What is not rounded is computed in."""
    if precision is Quantization.BF16 or (precision in _ROUNDED and device != "cpu"):
        return torch.bfloat16
    return torch.float32


def _diffusers(
    kind: Any, name: str, found: Mapping[str, Found], spec: LatentSpec, precision: Quantization, device: str
) -> Any:
    folder, rounded = found[name].folder, precision in _ROUNDED
    options: dict[str, Any] = {"torch_dtype": _dtype(precision, device), "local_files_only": True}
    if rounded and device != "cpu":
        from diffusers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(**_bitsandbytes(precision, device))
    if device != "cpu":
        options["device_map"] = spec.device_map if spec.device_map and name == "unet" else {"": device}
    model = _loaded(kind, name, folder, spec, options)
    if rounded and device == "cpu":
        quantise_linears(model, precision)
        model.is_loaded_in_4bit = precision is Quantization.NF4  # by which PEFT knows how to merge
        model.is_loaded_in_8bit = precision is Quantization.INT8
    return model


def _loaded(kind: Any, name: str, folder: Path, spec: LatentSpec, options: Mapping[str, Any]) -> Any:
    try:
        model, report = kind.from_pretrained(
            folder,
            use_safetensors=True,
            variant=spec.models[name].variant,  # type: ignore[index]
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # of libraries on a stranger's files
        reason = " ".join(str(error).split())[:300]
        raise MismatchError(f"{name}: {folder} cannot be loaded: {reason}") from error
    lacking = sorted(report["missing_keys"]) if isinstance(report, Mapping) else []
    if lacking:
        raise MismatchError(f"{name}: {folder} lacks {len(lacking)} weights, such as {lacking[0]}")
    return model.eval()


def _text(
    found: Mapping[str, Found],
    spec: LatentSpec,
    config: Mapping[str, Any],
    precision: Quantization,
    device: str,
) -> tuple[Any, Any]:
    from transformers import BitsAndBytesConfig, CLIPTextModel, CLIPTokenizer

    folder = found["tokenizer"].folder
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of transformers on a stranger's files
        reason = " ".join(str(error).split())[:300]
        raise MismatchError(f"tokenizer: {folder} cannot be loaded: {reason}") from error
    compatibility.check_tokens(config, len(tokenizer), folder)
    options: dict[str, Any] = {"dtype": _dtype(precision, device), "local_files_only": True}
    if device != "cpu" or precision in _ROUNDED:
        options["device_map"] = {"": device}
    if precision in _ROUNDED:
        options["quantization_config"] = BitsAndBytesConfig(**_bitsandbytes(precision, device))
    return _loaded(CLIPTextModel, "text_encoder", found["text_encoder"].folder, spec, options), tokenizer


def _bitsandbytes(precision: Quantization, device: str) -> dict[str, Any]:
    if precision is Quantization.INT8:
        return {"load_in_8bit": True, "llm_int8_threshold": 0.0}
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": _dtype(precision, device),
    }


def _schedule(folder: Path) -> tuple[torch.Tensor, str]:
    """Products of alphas, and what the UNet predicts, of any scheduler of the family."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_pretrained(folder, local_files_only=True)
    return scheduler.alphas_cumprod, str(scheduler.config.prediction_type)
