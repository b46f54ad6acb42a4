"""At which MCS each system is sent, per budget and SNR, before anything is sent bit by bit.

    systems × budgets × SNRs ─► candidates ─► operating points

Candidates of systems with one protection class come from `semcom.bench.envelope`, of others from
`semcom.bench.protection`.

An operating point is a budget and an MCS per protection class, at the SNRs where it is a candidate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semcom import adaptation
from semcom.bench import envelope, protection
from semcom.bench.envelope import Prediction, RateQuality
from semcom.bench.spec import BenchSpec
from semcom.contracts import Budget, BudgetError, System
from semcom.message import Message, PacketSize
from semcom.picture import images as photos
from semcom.seeds import derive
from semcom.sweep import parts
from semcom.sweep.plan import Photo
from semcom.sweep.store import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

AXIS = "operating_point"
_PROBE_BPP = 0.05  # to see which classes a system's messages have
_CURVE_POINTS = 6


@dataclass(frozen=True)
class OperatingPoint:
    """A budget and the MCSs it is spent with.

    Attributes:
        system: label.
        budget: in the benchmark's unit.
        mcs: per protection class; empty for what `link` says.
        snrs_db: where it is tried.
    """

    system: str
    budget: float
    mcs: Mapping[str, int]
    snrs_db: tuple[float, ...]

    @property
    def name(self) -> str:
        """Unique within a system."""
        schemes = [f"{name} {index}" for name, index in self.mcs.items()] or ["fixed"]
        return ", ".join([f"{self.budget:.6g}", *schemes])


def operating_points(
    spec: BenchSpec, found: Sequence[Photo], cache_file: Path | None, announce: Callable[[str], object]
) -> list[OperatingPoint]:
    """All of a benchmark's, system by system.

    What was chosen is kept in `cache_file`, so that going on, with more systems too, costs nothing.

    Raises:
        ValueError: a system or the link cannot be built.
    """
    known = json.loads(cache_file.read_text()) if cache_file is not None and cache_file.exists() else {}
    chooser: _Chooser | None = None
    points: list[OperatingPoint] = []
    for label in spec.systems:
        if label not in spec.adaptive:
            points += [OperatingPoint(label, budget, {}, spec.snrs_db) for budget in spec.budgets.values]
            continue
        key = _key(spec, label, found)
        if key not in known:
            announce(f"{label}: choosing MCSs")
            chooser = chooser or _Chooser(spec, found)
            known[key] = [asdict(point) for point in chooser.points(label)]
            if cache_file is not None:
                write_atomically(cache_file, json.dumps(known, indent=1).encode())
        points += [OperatingPoint(**fields | {"snrs_db": tuple(fields["snrs_db"])}) for fields in known[key]]
    return points


class _Chooser:
    def __init__(self, spec: BenchSpec, found: Sequence[Photo]) -> None:
        from channels.spec import LinkSpec

        self._spec = spec
        self._link = LinkSpec.model_validate(spec.link)
        self._paths = [photo.path for photo in found]
        self._images = [photos.load(path) for path in self._paths[: spec.probes]]
        # Of every picture, in the order of `found`: a limit is a number of channel uses a pixel.
        self._num_pixels = [photos.load(path)[0].numel() for path in self._paths]
        self._metrics = {name: parts.metric(name) for name in spec.adapt_to or spec.metrics}
        self._seeds = [derive(spec.seed, "envelope", i) for i in range(spec.realisations)]
        self._predict = cache(self._predictions)

    def points(self, label: str) -> list[OperatingPoint]:
        return [
            OperatingPoint(label, budget, dict(mcs), tuple(snrs))
            for budget, choices in self._of_system(label).items()
            for mcs, snrs in choices.items()
        ]

    def _of_system(self, label: str) -> dict[float, dict[tuple[tuple[str, int], ...], list[float]]]:
        """Budget to MCSs to the SNRs at which they are candidates."""
        described = self._spec.systems[label]
        system = parts.build_system(described.system or label, described.options)
        classes = adaptation.protection_classes(_probe(system, self._images[0]))
        # MCSs are ranked on a few probes, but must leave every picture its smallest message.
        smallest = [adaptation.smallest_message(system, photos.load(path)) for path in self._paths]
        curve = self._curve(system, next(iter(classes)), smallest) if len(classes) == 1 else None
        chosen: dict[float, dict[tuple[tuple[str, int], ...], list[float]]] = {}
        for budget in self._spec.budgets.values:
            by_mcs = chosen.setdefault(budget, {})
            for snr_db in self._spec.snrs_db:
                if curve is None:
                    candidates = self._choices(system, classes, smallest, budget, snr_db)
                else:
                    candidates = self._schemes(next(iter(classes)), curve, budget, snr_db)
                for mcs in candidates:
                    by_mcs.setdefault(tuple(mcs.items()), []).append(snr_db)
        return chosen

    def _choices(
        self,
        system: System,
        classes: Mapping[str, int],
        smallest: Sequence[Sequence[PacketSize]],
        budget: float,
        snr_db: float,
    ) -> list[dict[str, int]]:
        limits = self._limits(budget)
        rungs = [
            (choice, link)
            for choice in protection.ladder(self._link, classes, snr_db, self._seeds, self._spec.targets)
            if adaptation.all_fit(link := adaptation.with_mcs(self._link, choice), smallest, limits)
        ]
        if not rungs:
            return [adaptation.most_robust(self._link, list(classes), smallest, limits)]
        expected = [
            protection.expected_quality(
                system, self._images, link, limits, snr_db, self._seeds, self._metrics
            )
            for _, link in rungs
        ]
        return protection.best_choices([choice for choice, _ in rungs], expected, self._spec.confirm)

    def _schemes(self, name: str, curve: RateQuality, budget: float, snr_db: float) -> list[dict[str, int]]:
        predictions = self._predict(name, budget, snr_db)
        best = envelope.best(predictions, curve, list(self._metrics), self._spec.confirm)
        return [{name: index} for index in sorted(best)]

    def _predictions(self, name: str, budget: float, snr_db: float) -> list[Prediction]:
        """Of a packet for a picture of the mean size of all."""
        limit = round(sum(self._limits(budget)) / len(self._num_pixels))
        return envelope.predict(self._link, name, limit, snr_db, self._seeds)

    def _limits(self, cbr: float) -> list[int]:
        """Channel uses of every picture."""
        return [int(cbr * 3 * num_pixels) for num_pixels in self._num_pixels]

    def _curve(self, system: System, name: str, smallest: Sequence[Sequence[PacketSize]]) -> RateQuality:
        """Quality over the range of bytes that any of the budgets leaves."""
        predictions = [
            prediction
            for budget in self._spec.budgets.values
            for snr_db in self._spec.snrs_db
            for prediction in self._predict(name, budget, snr_db)
        ]
        hopeful = [prediction for prediction in predictions if prediction.bler <= envelope.HOPELESS]
        sizes = [prediction.num_bytes for prediction in hopeful or predictions]
        spread = np.geomspace(min(sizes), max(sizes), _CURVE_POINTS).round().astype(int)
        least = max(sum(size for _, size in sizes) for sizes in smallest)
        return envelope.rate_quality(system, self._images, least, spread.tolist(), self._metrics)


def _probe(system: System, image: Tensor) -> Message:
    """A message of a usual size, or the smallest one where that is larger."""
    budget = Budget.of_bpp(_PROBE_BPP, image.shape[2], image.shape[1])
    try:
        return system.encode(image, budget)
    except BudgetError as error:
        return system.encode(image, replace(budget, limit=error.smallest))


def _key(spec: BenchSpec, label: str, found: Sequence[Photo]) -> str:
    """What the choice for a system depends on."""
    decisive = {"link", "budgets", "snr_db", "seed", "confirm", "realisations", "targets"}
    described = spec.model_dump(mode="json", include=decisive)
    described["metrics"] = spec.adapt_to or spec.metrics
    described["system"] = [label, spec.systems[label].model_dump(mode="json")]
    described["probes"] = spec.probes
    described["images"] = [photo.sha256 for photo in found]
    return sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
