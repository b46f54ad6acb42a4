"""Names of the receiver's precisions; apart from what they mean, so that the command line starts quickly."""

from __future__ import annotations

import enum


class Quantization(enum.StrEnum):
    """Precision of the receiver's networks; `auto` is what is exact and fast on this machine."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    INT8 = "int8"
    NF4 = "nf4"
