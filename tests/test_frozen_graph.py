"""Constants of a frozen graph, written here field by field as the encoding says."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from semcom.frozen_graph import constants


def varint(value):
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def node(name, op, values, dtype=1):
    shape = b"".join(field(2, field(1, size)) for size in values.shape)
    tensor = field(1, dtype) + field(2, shape) + field(4, values.astype("<f4").tobytes())
    attributes = [(b"dtype", field(6, dtype)), (b"value", field(8, tensor))]
    listed = b"".join(field(5, field(1, key) + field(2, value)) for key, value in attributes)
    return field(1, field(1, name.encode()) + field(2, op) + listed)


@given(arrays.arrays(np.float32, arrays.array_shapes(max_side=5), elements=st.floats(-9, 9, width=32)))
def test_constants_come_back(values):
    graph = node("other", b"Conv2D", values) + node("a/weights", b"Const", values)
    graph += varint(7 << 3 | 1) + struct.pack("<d", 1.0)  # a field of another kind between them
    graph += node("b/int", b"Const", values, dtype=3)
    found = constants(graph)
    assert list(found) == ["a/weights"]
    assert np.array_equal(found["a/weights"], values)


@pytest.mark.parametrize("graph", [b"\xff" * 30, b"\x0b", b"\x0a"])
def test_what_is_no_graph_is_refused(graph):
    with pytest.raises(ValueError, match="frozen graph"):
        constants(graph)
