"""Tensors in a frozen TensorFlow graph, read without TensorFlow.

A graph is a protocol buffer (https://protobuf.dev/programming-guides/encoding/): of `GraphDef` the nodes, of
those of op `Const` the float tensor. Nothing is executed. Field numbers are of TensorFlow's graph.proto,
node_def.proto, attr_value.proto and tensor.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_NODE = 1  # of GraphDef
_NAME, _OP, _ATTRIBUTE = 1, 2, 5  # of NodeDef
_KEY, _VALUE = 1, 2  # of an entry of the attributes
_TENSOR = 8  # of AttrValue
_DTYPE, _SHAPE, _CONTENT = 1, 2, 4  # of TensorProto
_FLOAT = 1  # of DataType
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types
_Value = int | memoryview


def constants(graph: bytes) -> dict[str, NDArray[np.float32]]:
    """Every constant float tensor by the name of its node.

    Raises:
        ValueError: no protocol buffer.
    """
    found = {}
    for number, node in _fields(memoryview(graph)):
        if number == _NODE:
            entries = list(_fields(_bytes(node)))
            single = dict(entries)
            if bytes(_bytes(single.get(_OP, b""))) == b"Const":
                values = _float_tensor(_bytes(value) for key, value in entries if key == _ATTRIBUTE)
                if values is not None:
                    found[bytes(_bytes(single[_NAME])).decode()] = values
    return found


def _float_tensor(attributes: Iterator[memoryview]) -> NDArray[np.float32] | None:
    for entry in attributes:
        pair = dict(_fields(entry))
        if bytes(_bytes(pair[_KEY])) != b"value":
            continue
        tensor = dict(_fields(_bytes(dict(_fields(_bytes(pair[_VALUE])))[_TENSOR])))
        if tensor.get(_DTYPE) == _FLOAT and _CONTENT in tensor:
            sizes = _fields(_bytes(tensor[_SHAPE])) if _SHAPE in tensor else iter(())
            shape = [int(dict(_fields(_bytes(size))).get(1, 0)) for number, size in sizes if number == 2]
            return np.frombuffer(_bytes(tensor[_CONTENT]), "<f4").reshape(shape)
    return None


def _fields(message: memoryview) -> Iterator[tuple[int, _Value]]:
    """(field number, integer or bytes) of a message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in (_EIGHT, _FOUR):
            length = 8 if wire == _EIGHT else 4
        else:
            raise ValueError(f"frozen graph: wire type {wire} at byte {at}")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("frozen graph: cut off")


def _bytes(value: _Value | bytes) -> memoryview:
    if isinstance(value, int):
        raise ValueError("frozen graph: a number where a message should be")
    return memoryview(value)
