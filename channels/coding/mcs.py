"""Modulation and coding schemes: TS 38.214 tables 5.1.3.1-1, -2 and -3 (PDSCH), complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# (bits per symbol, target code rate x 1024), by MCS index
_TABLES: Final[dict[int, tuple[tuple[int, float], ...]]] = {
    1: (
        *((2, r) for r in (120, 157, 193, 251, 308, 379, 449, 526, 602, 679)),
        *((4, r) for r in (340, 378, 434, 490, 553, 616, 658)),
        *((6, r) for r in (438, 466, 517, 567, 616, 666, 719, 772, 822, 873, 910, 948)),
    ),
    2: (
        *((2, r) for r in (120, 193, 308, 449, 602)),
        *((4, r) for r in (378, 434, 490, 553, 616, 658)),
        *((6, r) for r in (466, 517, 567, 616, 666, 719, 772, 822, 873)),
        *((8, r) for r in (682.5, 711, 754, 797, 841, 885, 916.5, 948)),
    ),
    3: (
        *((2, r) for r in (30, 40, 50, 64, 78, 99, 120, 157, 193, 251, 308, 379, 449, 526, 602)),
        *((4, r) for r in (340, 378, 434, 490, 553, 616)),
        *((6, r) for r in (438, 466, 517, 567, 616, 666, 719, 772)),
    ),
}
_MODULATIONS: Final = {2: "QPSK", 4: "16-QAM", 6: "64-QAM", 8: "256-QAM"}


@dataclass(frozen=True)
class Mcs:
    """One row of an MCS table."""

    table: int
    index: int
    bits_per_symbol: int
    code_rate: float

    @property
    def modulation(self) -> str:
        """The modulation's usual name."""
        return _MODULATIONS[self.bits_per_symbol]

    @property
    def spectral_efficiency(self) -> float:
        """Information bits a symbol, before CRC and pilots."""
        return self.bits_per_symbol * self.code_rate


def mcs_table_size(table: int) -> int:
    """Return the number of (non-reserved) entries of table 1, 2 or 3."""
    return len(_TABLES[table])


def mcs(table: int, index: int) -> Mcs:
    """Return the entry `index` of `table` (1, 2 or 3).

    >>> scheme = mcs(1, 9)
    >>> scheme.modulation, round(scheme.code_rate, 2), round(scheme.spectral_efficiency, 2)
    ('QPSK', 0.66, 1.33)

    Raises:
        ValueError: the index is reserved or outside the table.
    """
    rows = _TABLES[table]
    if not 0 <= index < len(rows):
        raise ValueError(f"mcs must be from 0 to {len(rows) - 1} in mcs_table {table}, not {index}")
    bits_per_symbol, rate_x_1024 = rows[index]
    return Mcs(table, index, bits_per_symbol, rate_x_1024 / 1024)
