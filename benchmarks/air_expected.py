"""What the sender expects over the air: every part of its choice, and a wrong SNR, without sending anything.

    python benchmarks/air_expected.py

Expected DISTS and LPIPS over 100 fades (OFDM, TDL-A, 100 ns, 3 km/h, MCS table 3, `ls-cp`) for pictures of
768×512, by the abstraction link and the table `air_quality` of the profile (`semcom.chooser`): what
`benchmarks/air.py` measures picture by picture in hours, predicted in minutes. No picture is in it.

    best         what `semcom send --cbr` sends         no-base     without a base picture
    no-analog    packets only                           equal       packets only, one MCS for everything
    wrong        the best for an SNR that is so many dB too high or too low, at the true one
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from channels.spec import LinkSpec
from semcom.air_quality import PART, AirQuality
from semcom.chooser import Choice, Situation, choices
from semcom.mcs import mcs_by_rate
from semcom.profile import Profile
from semcom.provenance import provenance
from semcom.seeds import derive

HERE = Path(__file__).parent
LINK = {"channel": {"model": "tdl-a", "delay_spread_ns": 100, "speed_kmh": 3}, "mcs_table": 3}
WIDTH, HEIGHT, FADES = 768, 512, 100
ERRORS_DB = (-6, -3, 3, 6)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--objective", default="balanced")
    parser.add_argument("--inverse-cbr", nargs="+", type=int, default=[384, 192, 96])
    parser.add_argument("--snr-db", nargs="+", type=float, default=[-5, 0, 5, 10, 15, 20])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "air_expected.json")
    return parser


def rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One of each CBR and SNR."""
    quality = AirQuality.from_tensors(Profile.open(arguments.profile).tensors(PART))
    spec, seeds = LinkSpec.model_validate(LINK), [derive(0, "adaptation", i) for i in range(FADES)]
    for inverse_cbr in arguments.inverse_cbr:
        limit = 3 * WIDTH * HEIGHT // inverse_cbr

        def chosen(snr_db: float, limit: int = limit, **wishes: Any) -> list[Choice]:
            known = Situation(spec, limit, WIDTH, HEIGHT, snr_db, seeds)
            return choices(quality, arguments.objective, known, **wishes)

        for snr_db in arguments.snr_db:
            found = chosen(snr_db)
            alone = chosen(snr_db, base_bytes=(0,))
            same = [
                choice
                for mcs in mcs_by_rate(spec)
                for choice in _packets(chosen(snr_db, fixed={"critical": mcs, "base": mcs}))
            ]
            row = {"inverse_cbr": inverse_cbr, "snr_db": snr_db, "best": _plain(found[0])}
            row["no-base"] = _plain(min(alone, key=lambda choice: choice.rank))
            row["no-analog"] = _plain(*_packets(found))
            row["equal"] = _plain(*sorted(same, key=lambda choice: choice.rank)[:1])
            for error in ERRORS_DB:
                believed = chosen(snr_db + error)[0]
                if believed.mode == "analog":
                    (met,) = (choice for choice in found if choice.mode == "analog")
                else:
                    wishes = {"base_bytes": (believed.base_bytes,), "fixed": believed.mcs}
                    met = next(iter(_packets(chosen(snr_db, **wishes))), replace(believed, expected={}))
                row[f"wrong{error:+d}"] = _plain(met)
            yield row


def _packets(found: list[Choice]) -> list[Choice]:
    return [choice for choice in found if choice.mode == "digital"]


def _plain(choice: Choice | None = None) -> dict[str, Any] | None:
    """Null where nothing is sent; no figures where the header is lost in most fades."""
    if choice is None:
        return None
    figures = {name: round(value, 3) for name, value in choice.expected.items()}
    return {"sent": choice.variant, "mcs": dict(choice.mcs), "grey": round(choice.grey, 4)} | figures


def main() -> None:
    arguments = parser().parse_args()
    found = []
    for row in rows(arguments):
        found.append(row)
        shown = {
            name: value and (value.get("dists"), value.get("lpips"))
            for name, value in row.items()
            if isinstance(value, dict)
        }
        print(row["inverse_cbr"], row["snr_db"], shown, file=sys.stderr, flush=True)
    document = {"command": "python " + " ".join(sys.argv), "link": LINK, "fades": FADES, "rows": found}
    arguments.out.write_text(json.dumps(document | provenance(), indent=1) + "\n")


if __name__ == "__main__":
    main()
