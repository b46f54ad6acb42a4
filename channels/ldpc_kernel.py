"""Numba kernels of the layered LDPC decoder: check-node updates on 16-bit messages, vectorised over lifted rows.

Layout. A base-graph column of `codewords` interleaved code blocks holds L = Z * codewords values, the codeword
index innermost, so a circular shift by s is a rotation by s * codewords of one contiguous vector.
A column is stored in the rotation in which the previous layer used it, twice in a row: the next layer then
reads its own rotation as one contiguous slice, and no loop has a wrap-around or a remainder.
"""

import numba
import numpy as np

from channels.ldpc_simd import (
    LANES,
    add,
    add_ceiling,
    add_sat,
    bit_xor,
    copy_sign,
    load,
    maximum,
    minimum,
    select_equal,
    shift_right,
    sign_mask,
    splat,
    store,
    sub,
    sub_floor0,
    sub_sat,
)

LLR_SCALE = 16
FILLER = 20_000
_CHANNEL_MAX = 8_000.0


@numba.njit(inline="always")
def _boxplus(a, b):
    """min(a, b) - c(|a - b|) + c(a + b), with c(x) = ln(1 + exp(-x)) replaced by max(0, ln 2 - 3x/8)."""
    smaller = minimum(a, b)
    larger = maximum(a, b)
    difference = sub(larger, smaller)
    total = add(larger, smaller)
    eight_ln2 = splat(np.int16(89))
    near = sub_floor0(eight_ln2, add_ceiling(add_ceiling(difference, difference), difference))
    far = sub_floor0(eight_ln2, add_ceiling(add_ceiling(total, total), total))
    return sub(smaller, shift_right(sub(near, far), splat(np.int16(3))))


@numba.njit(cache=True, nogil=True)
def update_layer(posterior, messages, scratch, schedule, first, last, length):
    """One layer: subtract old messages, combine, and write back posteriors in this layer's rotation."""
    read, write = schedule[0], schedule[1]
    padded = (length + LANES - 1) // LANES * LANES
    top = splat(np.int16(32767))
    degree = last - first
    for lane in range(0, padded, LANES):
        smallest = top
        others = top
        sign = splat(np.int16(0))
        for e in range(first, last):
            extrinsic = sub_sat(load(posterior, read[e] + lane), load(messages, e * padded + lane))
            store(scratch, (e - first) * padded + lane, extrinsic)
            magnitude = maximum(extrinsic, sub_sat(splat(np.int16(0)), extrinsic))
            others = _boxplus(others, maximum(smallest, magnitude))
            smallest = minimum(smallest, magnitude)
            sign = bit_xor(sign, extrinsic)
        base = degree * padded + 4 * lane
        store(scratch, base, smallest)
        store(scratch, base + LANES, others)
        store(scratch, base + 2 * LANES, _boxplus(others, smallest))
        store(scratch, base + 3 * LANES, sign)
    for lane in range(padded - LANES, -1, -LANES):
        base = degree * padded + 4 * lane
        smallest = load(scratch, base)
        others = load(scratch, base + LANES)
        everything = load(scratch, base + 2 * LANES)
        sign = load(scratch, base + 3 * LANES)
        for e in range(first, last):
            extrinsic = load(scratch, (e - first) * padded + lane)
            magnitude = maximum(extrinsic, sub_sat(splat(np.int16(0)), extrinsic))
            message = copy_sign(
                select_equal(magnitude, smallest, others, everything), bit_xor(sign, extrinsic)
            )
            store(messages, e * padded + lane, message)
            updated = add_sat(extrinsic, message)
            store(posterior, write[e] + lane, updated)
            store(posterior, write[e] + length + lane, updated)


@numba.njit(cache=True, nogil=True)
def unsatisfied(posterior, schedule, layer_start, length, codewords, everyone):
    """Bit b is set when codeword b fails a check; stops looking once every codeword in `everyone` failed."""
    position = schedule[2]
    failed = np.int64(0)
    for layer in range(len(layer_start) - 1):
        for lane in range(0, length, LANES):
            parity = splat(np.int16(0))
            for e in range(layer_start[layer], layer_start[layer + 1]):
                parity = bit_xor(parity, load(posterior, position[e] + lane))
            mask = sign_mask(parity)
            if length - lane < LANES:
                mask &= (np.int64(1) << (length - lane)) - 1
            fold = LANES // 2
            while fold >= codewords:
                mask |= mask >> fold
                fold //= 2
            failed |= mask
        failed &= everyone
        if failed == everyone:
            break
    return failed


@numba.njit(cache=True, nogil=True)
def recover_rate(llr, starts, bits_per_symbol, size, buffer) -> None:
    """Add the received versions [versions, n] up in the circular buffer of `size` bits, deinterleaved."""
    buffer[:] = 0.0
    rows = llr.shape[1] // bits_per_symbol
    for version in range(llr.shape[0]):
        for i in range(bits_per_symbol):
            position = (starts[version] + i * rows) % size
            head = min(rows, size - position)
            received = llr[version, i:]
            _accumulate(received, bits_per_symbol, buffer[position : position + head])
            _accumulate(received[head * bits_per_symbol :], bits_per_symbol, buffer[: rows - head])


@numba.njit(cache=True, nogil=True)
def _accumulate(values, step, total) -> None:
    if step == 1:  # a constant step lets the compiler vectorise
        for i in range(total.size):
            total[i] += values[i]
    else:
        for i in range(total.size):
            total[i] += values[i * step]


@numba.njit(cache=True, nogil=True)
def _quantise(llr, levels) -> None:
    for i in range(llr.size):
        level = min(max(np.float32(-LLR_SCALE) * llr[i], np.float32(-_CHANNEL_MAX)), np.float32(_CHANNEL_MAX))
        levels[i] = np.int16(np.rint(level))


@numba.njit(cache=True, nogil=True)
def _rotate_in(values, rotation, codewords, column) -> None:
    """Write one column of one codeword into its lanes, rotated, twice."""
    z = values.size
    for copy in range(2):
        base = copy * z * codewords
        _spread(values[rotation:], codewords, column[base:])
        _spread(values[:rotation], codewords, column[base + (z - rotation) * codewords :])


@numba.njit(cache=True, nogil=True)
def _spread(values, step, column) -> None:
    if step == 1:
        for i in range(values.size):
            column[i] = values[i]
    else:
        for i in range(values.size):
            column[i * step] = values[i]


@numba.njit(cache=True, nogil=True)
def _decide(posterior, bits, z, rotation, codewords) -> None:
    """Hard decisions of one column of one codeword; the last column may be cut by filler bits."""
    for i in range(bits.size):
        source = (i - rotation) * codewords if i >= rotation else (i - rotation + z) * codewords
        bits[i] = np.float32(1.0) if posterior[source] < 0 else np.float32(0.0)


@numba.njit(cache=True, nogil=True)
def decode(llr, starts, bits_per_symbol, k, z, filler, size, columns, schedule, layer_start, codewords, num_iter):
    """Decode llr [batch, versions, n] (float32, ln p(1)/p(0)); columns [2, used] holds index and final rotation."""
    batch = llr.shape[0]
    length = z * codewords
    padded = (length + LANES - 1) // LANES * LANES
    stride = length + padded
    used = columns.shape[1]
    bits = np.empty((batch, k), np.float32)
    iterations = np.empty(batch, np.int32)
    converged = np.zeros(batch, np.bool_)
    posterior = np.zeros(used * stride + codewords, np.int16)
    messages = np.empty(layer_start[-1] * padded, np.int16)
    max_degree = np.max(layer_start[1:] - layer_start[:-1])
    scratch = np.empty((max_degree + 4) * padded, np.int16)
    buffer = np.empty(size, np.float32)
    channel = np.zeros(size + 2 * z + filler, np.int16)
    channel[k : k + filler] = FILLER
    for first in range(0, batch, codewords):
        block = min(codewords, batch - first)
        active = (np.int64(1) << block) - 1
        for b in range(block):
            recover_rate(llr[first + b], starts, bits_per_symbol, size, buffer)
            _quantise(buffer[: k - 2 * z], channel[2 * z : k])
            _quantise(buffer[k - 2 * z :], channel[k + filler :])
            for c in range(used):
                column = columns[0, c] * z
                _rotate_in(
                    channel[column : column + z], columns[1, c], codewords, posterior[c * stride + b :]
                )
        messages[:] = 0
        for iteration in range(num_iter):
            for layer in range(len(layer_start) - 1):
                update_layer(
                    posterior, messages, scratch, schedule, layer_start[layer], layer_start[layer + 1], length
                )
            failed = unsatisfied(posterior, schedule, layer_start, length, codewords, active)
            done = active & ~failed
            if iteration == num_iter - 1:
                done = active
            for b in range(block):
                if (done >> b) & 1:
                    iterations[first + b] = iteration + 1
                    converged[first + b] = not (failed >> b) & 1
                    for c in range(used):
                        column = columns[0, c] * z
                        _decide(
                            posterior[c * stride + b :], bits[first + b, column : column + z], z, columns[1, c], codewords
                        )
            active = active & failed
            if active == 0:
                break
    return bits, iterations, converged
