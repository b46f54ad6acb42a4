"""The analog link: tensors as power-normalised symbols through the same OFDM, channel and equaliser.

Pairs of values ride on the real and imaginary parts of the data resource elements; there is no coding, no
constellation and no erasure. Differentiable with respect to the tensors, for joint source-channel coding
and for training through the channel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from channels.impairments.report import RadioReport
from channels.links.grants import burst_snrs
from channels.ofdm.front_end import Equalised, OfdmFrontEnd
from channels.spec import LinkSpec


@dataclass(frozen=True)
class AnalogDelivery:
    """One tensor at the receiver."""

    values: Tensor
    """Shape of what was sent, scaled back: the linear estimates of least mean-square error."""
    error_variance: Tensor
    """Same shape: the mean-square error of each value as the receiver expects it to be."""
    mean_square_error: float
    """What it was in truth, the mean over the values."""
    channel_uses: int
    """Complex resource elements spent, pilots included."""
    pilot_uses: int
    effective_sinr_db: float
    """The constant SINR with the mean capacity of the symbols after equalisation, in truth: not what the
    receiver believes (`channels.ofdm.receiver.post_equalisation_sinr`)."""
    snr_db: float
    radio: RadioReport | None = None
    """What an impaired radio did; None of an ideal one."""


class AnalogLink:
    """Sends real tensors over the channel of a spec (its coding and its classes play no part).

    Each burst is scaled to unit mean energy a symbol; the scale is a single number that the receiver is
    assumed to know, as it knows a grant.
    """

    def __init__(self, spec: LinkSpec, device: str = "cpu") -> None:
        self.spec = spec
        self._front_end = OfdmFrontEnd(spec.channel, spec.ofdm, device, spec.radio)

    def send(
        self, bursts: Sequence[Tensor], snr_db: float | Sequence[float], seeds: Sequence[int]
    ) -> list[AnalogDelivery]:
        """Send one real tensor a burst, each over its own channel realisation.

        Args:
            bursts: real floating-point tensors of any shape; float64 ones are computed in double precision.
            snr_db: Es/N0 a resource element (see `channels.spec`), one for all or one a burst.
            seeds: one a burst; it alone decides channel and noise.

        Raises:
            ValueError: an SNR that is not a finite number, an empty or all-zero tensor, or a number of
                seeds or SNRs other than that of bursts.
        """
        snrs = burst_snrs([burst.reshape(-1) for burst in bursts], snr_db, seeds)
        scales = [burst.square().mean().mul(2).sqrt() for burst in bursts]
        if any(float(scale.detach()) == 0.0 for scale in scales):
            raise ValueError(
                "an analog burst must hold a value other than zero: it has no power to normalise"
            )
        grids = [self._to_slots(burst / scale) for burst, scale in zip(bursts, scales, strict=True)]
        received = self._front_end.send(grids, snrs, seeds)
        return [
            self._deliver(burst, scale, equalised, snr)
            for burst, scale, equalised, snr in zip(bursts, scales, received, snrs, strict=True)
        ]

    def channel_uses(self, num_values: int) -> int:
        """Count the resource elements that so many real values take, pilots included, exactly."""
        used = self._resource_elements(num_values)
        return used + self._num_slots(used) * self._front_end.num_pilot_res

    def _resource_elements(self, num_values: int) -> int:
        return math.ceil(num_values / (2 * self.spec.ofdm.num_streams))

    def _num_slots(self, resource_elements: int) -> int:
        return math.ceil(resource_elements / self._front_end.num_data_res)

    def _to_slots(self, values: Tensor) -> Tensor:
        """Normalised real values to complex symbols [slots, data REs, streams]."""
        flat, streams = values.reshape(-1), self.spec.ofdm.num_streams
        size = self._num_slots(self._resource_elements(flat.numel())) * self._front_end.num_data_res * streams
        padded = torch.nn.functional.pad(flat, (0, 2 * size - flat.numel()))
        return torch.view_as_complex(padded.reshape(-1, self._front_end.num_data_res, streams, 2))

    def _deliver(self, burst: Tensor, scale: Tensor, received: Equalised, snr: float) -> AnalogDelivery:
        # From the unbiased estimate to the one of least mean-square error, for a prior of unit energy
        shrinkage = 1 / (1 + received.noise_variance)
        values = torch.view_as_real(received.symbols * shrinkage).reshape(-1)[: burst.numel()]
        values = (values * scale.to(values.device)).reshape(burst.shape)
        error = (received.noise_variance * shrinkage / 2)[..., None].expand(*shrinkage.shape, 2)
        error = error.reshape(-1)[: burst.numel()].reshape(burst.shape).detach()
        sent = self._resource_elements(burst.numel()) * self.spec.ofdm.num_streams
        # In nats, and so that even the capacity of -50 dB isn't rounded to nothing
        capacity = float(received.sinr.detach().reshape(-1)[:sent].double().log1p().mean())
        uses = self.channel_uses(burst.numel())
        return AnalogDelivery(
            values=values,
            error_variance=error * scale.detach().square().to(error.device),
            mean_square_error=float((values.detach() - burst.detach().to(values.device)).square().mean()),
            channel_uses=uses,
            pilot_uses=uses - self._resource_elements(burst.numel()),
            effective_sinr_db=10 * math.log10(math.expm1(capacity)),
            snr_db=snr,
            radio=received.radio,
        )
