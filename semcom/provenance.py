"""What produced a number: versions, commit, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "semcom", "torch", "sionna-no-rt", "diffusers", "transformers", "numpy", "numba", "pillow",
    "bitsandbytes",
)  # fmt: skip
_OVERRIDES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")


def provenance() -> dict[str, Any]:
    """Fields `commit`, `versions`, `machine`, `threads` and `cores` of every result."""
    import torch

    return {
        "commit": git_commit(),
        "versions": versions(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def machine() -> dict[str, Any]:
    """What of the processor decides how floats are rounded and which integer kernels run.

    Returns:
        `processor` (model name), `architecture`, `instruction_set` (widest that PyTorch's own kernels use),
        `vnni`, `amx`, `bf16` (whether the processor has the instructions), `quantization_auto` (what the
        receiver's precision `auto` comes to) and, where variables of the environment hide instructions from
        a library, these as `overrides`.
    """
    import torch

    found: dict[str, Any] = {
        "processor": _processor(),
        "architecture": platform.machine(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "vnni": torch.cpu._is_vnni_supported(),
        "amx": torch.cpu._is_amx_tile_supported(),
        "bf16": has_bf16(),
        "quantization_auto": _auto_precision(),
    }
    overrides = {name: os.environ[name] for name in _OVERRIDES if name in os.environ}
    return found | ({"overrides": overrides} if overrides else {})


def has_bf16() -> bool:
    """Whether the processor has bfloat16 instructions; without them bfloat16 is slower than float32."""
    import torch

    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """How the machines of two provenances differ, as in `instruction_set: AVX2 and AVX512`; none if alike.

    Two such machines send the same bytes. In int8 their pictures differ by a grey level in few values; where
    `quantization_auto` differs, by the rounding of int8.
    """
    first, second = ({"threads": p.get("threads")} | p.get("machine", {}) for p in (one, other))
    return [
        f"{name}: {_said(first.get(name))} and {_said(second.get(name))}"
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name)
    ]


def _auto_precision() -> str:
    from semcom.receiver.integer_conv import auto_precision

    return auto_precision().value


def _said(value: Any) -> str:
    return "not recorded" if value is None else str(value)


def _processor() -> str:
    """Model name as Linux gives it, else what Python knows."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide results; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Commit of the source tree, with `+` when it has changes; None outside a checkout."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        run = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
        return run.stdout.strip() if run.returncode == 0 else ""

    if not (root / ".git").exists():
        return None
    commit = git("rev-parse", "--short=12", "HEAD")
    return commit + ("+" if git("status", "--porcelain", "--untracked-files=no") else "") if commit else None
