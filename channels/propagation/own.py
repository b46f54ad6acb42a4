"""Channel models of one's own: from whatever a program hands over to an entry whose model is checked.

What a model must be: `impulse_responses` and `statistics` of `ChannelModel`. The third method is asked for
only where antennas outnumber streams, and measured over realisations where a model hasn't got it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from channels.propagation.base import ChannelModel, Statistics
from channels.propagation.entry import Entry

_METHODS = ("impulse_responses", "statistics")
_READS = ("speed_kmh", "delay_spread_ns", "options")
_CHECKED, _MEASURED = 64, 512
# Five standard errors of the mean over 64 realisations, and at least a decibel or so: deeper fades than
# Rayleigh's needn't be refused, an antenna gain or a path loss must be
_STANDARD_ERRORS, _LEAST_TOLERANCE = 5.0, 0.25


def entry_of(name: str, found: Any) -> Entry:
    """The entry of a model, or of what is called with a spec and returns one.

    Raises:
        ValueError: `found` is neither.
    """
    is_model = not isinstance(found, type) and all(hasattr(found, method) for method in _METHODS)
    if not is_model and not callable(found):
        raise ValueError(
            f"channel model {name!r} must be an Entry of channels.propagation.registry, an object with the "
            f"methods {' and '.join(_METHODS)}, or what returns one for a ChannelSpec, not "
            f"{type(found).__name__}"
        )
    words = (getattr(found, "__doc__", None) or "").strip().partition("\n")[0]
    return Entry(
        words or "a model of one's own",
        _Checked(name, (lambda spec: found) if is_model else found),
        tuple(getattr(found, "reads", () if is_model else _READS)),
    )


class _Checked:
    """Builds a model and looks at what it draws before a link relies on it."""

    def __init__(self, name: str, build: Callable[[Any], Any]) -> None:
        self._name, self._build = name, build

    def __call__(self, spec: Any) -> ChannelModel:
        model = self._build(spec)
        missing = [method for method in _METHODS if not callable(getattr(model, method, None))]
        if missing:
            raise ValueError(f"channel model {self._name!r}: no method {missing[0]}")
        try:
            self._check(model, spec)
        except (TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(f"channel model {self._name!r}: {error}") from error
        if hasattr(model, "transmit_correlation"):
            whole: ChannelModel = model
            return whole
        return _WithCorrelation(model)

    def _check(self, model: Any, spec: Any) -> None:
        gains, delays = model.impulse_responses(list(range(_CHECKED)), 2, 1e-3)
        statistics = model.statistics()
        wanted = (_CHECKED, spec.num_rx_antennas, spec.num_tx_antennas)
        if not isinstance(statistics, Statistics):
            raise self._error(f"statistics() must return Statistics, not {type(statistics).__name__}")
        if gains.ndim != 5 or gains.shape[:3] != wanted or gains.shape[4] != 2 or not gains.is_complex():
            raise self._error(
                f"path gains must be complex, [seeds, rx, tx, paths, steps] = [{_CHECKED}, {wanted[1]}, "
                f"{wanted[2]}, paths, 2], not {gains.dtype} {list(gains.shape)}"
            )
        if delays.shape[-1] != gains.shape[3] or delays.ndim != 2 or len(delays) not in (1, _CHECKED):
            raise self._error(
                f"delays must be [{_CHECKED} or 1, {gains.shape[3]} paths], not {list(delays.shape)}"
            )
        if (
            not bool(torch.isfinite(torch.view_as_real(gains.resolve_conj())).all())
            or float(delays.min()) < 0
        ):
            raise self._error("gains must be finite and delays from 0 on")
        power = gains[..., 0].abs().double().square().sum(-1).mean(dim=(1, 2))
        tolerance = max(_LEAST_TOLERANCE, _STANDARD_ERRORS * float(power.std()) / _CHECKED**0.5)
        if abs(float(power.mean()) - 1) > tolerance:
            raise self._error(
                f"the mean power of an antenna pair is {float(power.mean()):.3g}, not one: divide the gains "
                f"by {float(power.mean()) ** 0.5:.3g} so that snr_db means what it says"
            )
        again, _ = model.impulse_responses([_CHECKED - 1], 2, 1e-3)
        if not torch.equal(again[0], gains[-1]):
            raise self._error("a realisation must be a function of its seed alone, not of those beside it")

    def _error(self, what: str) -> ValueError:
        return ValueError(f"channel model {self._name!r}: {what}")


class _WithCorrelation:
    """A model whose transmit correlation is the mean over realisations."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.impulse_responses, self.statistics = model.impulse_responses, model.statistics
        if hasattr(model, "bandwidth_hz"):
            self.bandwidth_hz = model.bandwidth_hz

    def transmit_correlation(self) -> Tensor:
        """See `ChannelModel`."""
        gains, _ = self._model.impulse_responses(list(range(_MEASURED)), 1, 1e-3)
        gains = gains[..., 0].to(torch.complex128)
        correlation = torch.einsum("brip,brjp->ij", gains.conj(), gains)
        return correlation / correlation.diagonal().real.mean()
