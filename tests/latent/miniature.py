"""A Stable-Diffusion folder in miniature: every component of the true class, random weights, hub format."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WIDTH = 64
DOWN, UP = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")


def unet(**changes) -> UNet2DConditionModel:
    config = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (64, 64),
        "layers_per_block": 1,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
        "down_block_types": DOWN,
        "up_block_types": UP,
    }
    return UNet2DConditionModel(**(config | changes))


def vae(**changes) -> AutoencoderKL:
    config = {
        "block_out_channels": (8, 8, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "sample_size": 512,
    }
    return AutoencoderKL(**(config | changes))


def text_encoder(width: int = WIDTH, vocabulary: int = 600) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=24,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return CLIPTextModel(config)


def tokenizer(folder: Path) -> CLIPTokenizer:
    """Letters alone and at the end of a word: CLIP's byte-pair encoding without a single merge."""
    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(33, 127)]
    pieces = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=24)


def build(folder: Path, prediction: str = "epsilon") -> Path:
    """The folder, in the layout of a diffusers pipeline."""
    torch.manual_seed(0)
    unet().save_pretrained(folder / "unet")
    vae().save_pretrained(folder / "vae")
    text_encoder().save_pretrained(folder / "text_encoder")
    tokenizer(folder / "raw").save_pretrained(folder / "tokenizer")
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction
    )
    scheduler.save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}\n')
    return folder


def add_controlnet(folder: Path, **changes) -> None:
    """A ControlNet whose last layers are not zero, so that it does something."""
    torch.manual_seed(1)
    config = {"conditioning_channels": 4, "conditioning_embedding_out_channels": (8, 8, 16, 16)} | changes
    control = ControlNetModel.from_unet(unet(), load_weights_from_unet=False, **config)
    for block in [*control.controlnet_down_blocks, control.controlnet_mid_block]:
        torch.nn.init.normal_(block.weight, std=0.2)
    control.save_pretrained(folder / "controlnet")


def save_lora(path: Path, seed: int) -> None:
    """An adapter of the UNet's attention as diffusers writes it, whose B is not zero."""
    from peft import LoraConfig

    torch.manual_seed(seed)
    network = unet()
    network.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    network.save_lora_adapter(path)
