"""Second half of stage `quantise`: adapters on NF4 networks learn to do what the exact ones do.

The adapters start from what rounding lost of each weight; then both networks together, enhancer and decoder,
are taught by the exact ones on the decoder's own samples. Weights are held as the float32 values that NF4
stands for, so that what is trained is what runs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from semcom.networks.enhancer import Enhancer
from semcom.networks.mgdd import MultimodalDecoder, to_diffusion
from semcom.receiver import adapters
from semcom.receiver.quantization import round_to_nf4
from semcom.train.data.decoder_data import BATCH
from semcom.train.stages.decoder import CROPS, NOISIEST, DecoderStage, Surroundings
from semcom.train.stages.enhancer import texture_planes

Network = TypeVar("Network", bound=nn.Module)
_ENHANCER_RANK, _DECODER_RANK = 4, 8
_WORDS = 16
_L1 = 10.0
_VALIDATION_BATCHES = 4


class Adapted(nn.Module):
    """Both networks, rounded, with adapters.

    Args:
        enhancer, decoder: exact; copied.
    """

    def __init__(self, enhancer: Enhancer, decoder: MultimodalDecoder) -> None:
        super().__init__()
        self.enhancer = _adapted(enhancer, _ENHANCER_RANK, nn.Conv2d)
        self.decoder = _adapted(decoder, _DECODER_RANK, nn.Conv2d, nn.Linear)


class RecoveryStage(DecoderStage):
    """See the module docstring.

    Args:
        around: frozen networks and photographs; the enhancer in float32.
        start: pseudo-words and decoder.
        channel: adapters of the stage `channel`, if there are any; the exact decoder has them merged.
    """

    name = "quantise"
    learning_rate = 1e-4
    ema_decay = 0.95

    def __init__(
        self,
        around: Surroundings,
        start: Mapping[str, Tensor],
        channel: Mapping[str, Tensor] | None,
    ) -> None:
        super().__init__(around)
        self.guided.load_state_dict(start)
        if channel is not None:
            adapters.load(self.guided.decoder, channel)
        self.guided.requires_grad_(False)
        self.model = Adapted(around.enhancer, self.guided.decoder)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """Distance from the exact networks' picture."""
        assert isinstance(self.model, Adapted)
        output, exact = self._both(self.model, batch)
        return {"l1": _L1 * (output - exact).abs().mean(), "lpips": self.lpips(output, exact).mean()}

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Mean distances from the exact networks' pictures, with and without adapters."""
        assert isinstance(model, Adapted)
        totals: dict[str, float] = {}
        for number, batch in enumerate(self.validation_batches(_VALIDATION_BATCHES)):
            for suffix, adapted in (("", True), ("_without_adapters", False)):
                for layer in adapters.layers(model).values():
                    layer.enable_adapters(adapted)
                torch.manual_seed(number)
                output, exact = self._both(model, batch)
                distances = {"l1": (output - exact).abs().mean(), "lpips": self.lpips(output, exact).mean()}
                for name, value in distances.items():
                    key = f"{name}_from_exact{suffix}"
                    totals[key] = totals.get(key, 0.0) + value.item() / _VALIDATION_BATCHES
        return totals

    def _both(self, model: Adapted, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The rounded networks' pictures and the exact ones', of one step from the same noise."""
        with torch.no_grad():
            x0, _, guidance = self.mixed(self.guided, batch, _WORDS)
            noise, level = torch.randn_like(to_diffusion(x0)), torch.full((BATCH,), NOISIEST)
            exact = x0 + self.guided.decoder(noise, level, x0, guidance)
            hci, detail, _ = self.refined({**batch, "arrived": guidance.arrived})
            fine = texture_planes(batch)
        quality = batch["quality"][:CROPS]
        restored = model.enhancer(hci[:CROPS], quality, detail[:CROPS], fine[:CROPS])
        begun = torch.cat((restored, x0[CROPS:]))
        return begun + model.decoder(noise, level, begun, guidance), exact


def _adapted(network: Network, rank: int, *kinds: type[nn.Conv2d | nn.Linear]) -> Network:
    """A rounded copy, its adapters set to what rounding lost."""
    rounded = copy.deepcopy(network)
    round_to_nf4(rounded, *kinds)
    adapters.attach(rounded, rank)
    adapters.start_from_error(rounded, network.state_dict())
    return rounded
