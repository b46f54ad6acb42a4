import pytest
from sionna.phy.nr import decode_mcs_index

from channels.coding.mcs import mcs, mcs_table_size


@pytest.mark.parametrize("table", [1, 2, 3])
def test_tables_equal_sionnas(table):
    for index in range(mcs_table_size(table)):
        modulation_order, code_rate = decode_mcs_index(index, table_index=table, is_pusch=False, device="cpu")
        entry = mcs(table, index)
        assert entry.bits_per_symbol == int(modulation_order)
        assert entry.code_rate == pytest.approx(float(code_rate), abs=1e-7)


@pytest.mark.parametrize(("table", "size"), [(1, 29), (2, 28), (3, 29)])
def test_reserved_indices_are_refused(table, size):
    assert mcs_table_size(table) == size
    with pytest.raises(
        ValueError, match=rf"mcs must be from 0 to {size - 1} in mcs_table {table}, not {size}"
    ):
        mcs(table, size)
