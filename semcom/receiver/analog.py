"""The analog picture at the receiver: noisy values become a quarter-size picture that the enhancer restores.

values, error variances ──► DeepJSCC ──► picture ──(mean of 4×4)──► noisy HCI ──► enhancer with adapters

DeepJSCC (`semcom.networks.deepjscc`) finds the colours and edges that a fading channel left; a quarter of its
size leaves out the blur that it hedges with, and the enhancer paints what is finer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.message import ReceivedMessage
from semcom.networks.deepjscc import DeepJSCC, num_values
from semcom.picture.grid import HCI_SCALE, padded_size

STREAM = "analog"
"""Name of the analog stream of the semantic system."""
DAMAGED = "analog picture damaged: grey picture"
MAX_QUALITY = 63
_FAINTEST, _OCTAVES = -9.0, 7.0  # log2 of bits a pixel: CBR 1/384 at −7 dB to 1/96 at 20 dB
_SMALLEST_VARIANCE = 1e-3


@torch.inference_mode()
def receive(codec: DeepJSCC, received: ReceivedMessage) -> tuple[Tensor, int]:
    """[3,h,w] in [0,1], a quarter of the picture in whole key cells, and what the enhancer is told of it.

    Raises:
        KeyError: the message has no analog stream of this system.
        ValueError: its values are more than those of a picture of this size, or not finite.
    """
    stream = received.analog(STREAM)
    width, height = padded_size(received.width, received.height)
    values, error = stream.values[None].float(), stream.error_variance[None].float()
    if values.shape[1] > num_values(height, width):
        raise ValueError("more values than a picture of this size has")
    if not (bool(values.isfinite().all()) and bool(error.isfinite().all())):
        raise ValueError("values that are not finite")
    thumb = thumbnail(codec.receive(values, error, height, width))[0]
    return thumb, round(quality(error, width * height).item())


def thumbnail(picture: Tensor) -> Tensor:
    """[B,3,h,w] in [0,1], a quarter of pictures [B,3,4h,4w]."""
    return F.avg_pool2d(picture, HCI_SCALE).clamp(0, 1)


def information(error_variance: Tensor) -> Tensor:
    """[B] bits that Gaussian values of unit energy carry when known to within mean-square errors [B,n]."""
    return -error_variance.clamp(_SMALLEST_VARIANCE, 1).log2().sum(1) / 2


def quality(error_variance: Tensor, num_pixels: int) -> Tensor:
    """What the enhancer is told instead of an AV1 quality: how much arrived.

    The information of the values in bits a pixel, on a logarithmic scale from 0 to 63.

    Args:
        error_variance: [B,n], mean-square errors of the values that were sent; 1 where none was.
        num_pixels: of each picture.

    Returns:
        [B] float.
    """
    octave = (information(error_variance) / num_pixels).clamp_min(2.0**_FAINTEST).log2() - _FAINTEST
    return (MAX_QUALITY / _OCTAVES * octave).clamp(0, MAX_QUALITY)
