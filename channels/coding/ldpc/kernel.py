"""Numba kernels of the layered LDPC decoder: check-node updates on 16-bit messages, SIMD over lifted rows.

Layout. A base-graph column of `codewords` interleaved code blocks holds length = Z * codewords values, the
codeword index innermost, so a circular shift by s is a rotation by s * codewords of one contiguous vector.
A column is stored in the rotation in which the previous layer used it, twice in a row: the next layer then
reads its own rotation as one contiguous slice, and no loop has a wrap-around or a remainder. Lanes that only
pad a vector hold finite garbage that no other lane ever reads.
"""

from typing import Any

import numba
import numpy as np

from channels.coding.ldpc.schedule import Schedule
from channels.coding.ldpc.simd import (
    LANES,
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

# int16 levels per unit of LLR: fine enough for the correction term, coarse enough that sums rarely saturate
_SCALE = 16
# An LLR of 20, Sionna's llr_max too: a few huge values would saturate the sums and drown the other bits
_CHANNEL_MAX = 20 * _SCALE
_FILLER = 20_000
_EIGHT_LN2 = round(8 * _SCALE * 0.6931)

_jit = numba.njit(cache=True, nogil=True)
_inline = numba.njit(inline="always")


@_jit
def decode(
    llr: np.ndarray, schedule: Schedule, num_iter: int, num_bits: int, soft: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode a batch; `codewords` of them at a time share vectors, each frozen in the iteration it converges.

    Args:
        llr: float32 [batch, versions, n], ln p(1)/p(0), without NaN.
        schedule: the code; its positions are for vectors of LANES values.
        num_iter: most iterations.
        num_bits: how many hard decisions to return from the first bit of the unpunctured code on; k gives the
            information bits, k_ldpc or more also filler and parity bits (undefined in columns not in use).
        soft: return ln p(1)/p(0) after decoding instead of hard decisions.

    Returns:
        Bits float32 [batch, num_bits], iterations used int32 [batch], whether all checks hold bool [batch].
    """
    batch = llr.shape[0]
    bits = np.empty((batch, num_bits), np.float32)
    iterations = np.empty(batch, np.int32)
    converged = np.empty(batch, np.bool_)

    length = schedule.z * schedule.codewords
    padded = (length + LANES - 1) // LANES * LANES
    degrees = schedule.layers[1:] - schedule.layers[:-1]
    posterior = np.zeros(schedule.columns.size * (length + padded), np.int16)
    messages = np.empty(schedule.layers[-1] * padded, np.int16)
    scratch = np.empty((degrees.max() + 4) * padded, np.int16)
    channel = np.zeros((schedule.columns.max() + 1) * schedule.z, np.int16)
    buffer = np.empty(channel.size - 2 * schedule.z - schedule.filler, np.float32)

    for first in range(0, batch, schedule.codewords):
        block = min(schedule.codewords, batch - first)
        for b in range(block):
            _recover_rate(llr[first + b], schedule, buffer)
            _quantise(buffer, schedule, channel)
            _insert(channel, schedule, posterior, length + padded, b)
        messages[:] = 0
        active = (np.int64(1) << block) - 1
        for iteration in range(1, num_iter + 1):
            for layer in range(schedule.layers.size - 1):
                _update_layer(posterior, messages, scratch, schedule, layer, length)
            failed = _failed_checks(posterior, schedule, length, active)
            finished = active if iteration == num_iter else active & ~failed
            for b in range(block):
                if (finished >> b) & 1:
                    iterations[first + b] = iteration
                    converged[first + b] = (failed >> b) & 1 == 0
                    _extract(posterior, schedule, length + padded, b, bits[first + b], soft)
            active &= failed
            if active == 0:
                break
    return bits, iterations, converged


@_inline
def _boxplus(a: Any, b: Any) -> Any:
    """min(a, b) - c(|a - b|) + c(a + b), with c(x) = ln(1 + exp(-x)) replaced by max(0, ln 2 - 3x/8)."""
    smaller = minimum(a, b)
    difference = sub(maximum(a, b), smaller)
    total = add_ceiling(a, b)
    top = splat(np.int16(_EIGHT_LN2))
    near = sub_floor0(top, add_ceiling(add_ceiling(difference, difference), difference))
    far = sub_floor0(top, add_ceiling(add_ceiling(total, total), total))
    return sub(smaller, shift_right(sub(near, far), splat(np.int16(3))))


@_inline
def _magnitude(a: Any) -> Any:
    return maximum(a, sub_sat(splat(np.int16(0)), a))


@_jit
def _update_layer(
    posterior: np.ndarray,
    messages: np.ndarray,
    scratch: np.ndarray,
    schedule: Schedule,
    layer: int,
    length: int,
) -> None:
    """A-min* on one base-graph row: the weakest input gets the others' boxplus, the others that of all."""
    first, last = schedule.layers[layer], schedule.layers[layer + 1]
    padded = (length + LANES - 1) // LANES * LANES
    summary = (last - first) * padded
    for lane in range(0, padded, LANES):
        weakest = splat(np.int16(32767))
        others = splat(np.int16(32767))
        sign = splat(np.int16(0))
        for e in range(first, last):
            extrinsic = sub_sat(load(posterior, schedule.read[e] + lane), load(messages, e * padded + lane))
            store(scratch, (e - first) * padded + lane, extrinsic)
            magnitude = _magnitude(extrinsic)
            others = _boxplus(others, maximum(weakest, magnitude))
            weakest = minimum(weakest, magnitude)
            sign = bit_xor(sign, extrinsic)
        store(scratch, summary + 4 * lane, weakest)
        store(scratch, summary + 4 * lane + LANES, others)
        store(scratch, summary + 4 * lane + 2 * LANES, _boxplus(others, weakest))
        store(scratch, summary + 4 * lane + 3 * LANES, sign)

    # Backwards, because the padding of the last vector spills into the second copy's first vector.
    for lane in range(padded - LANES, -1, -LANES):
        weakest = load(scratch, summary + 4 * lane)
        others = load(scratch, summary + 4 * lane + LANES)
        everything = load(scratch, summary + 4 * lane + 2 * LANES)
        sign = load(scratch, summary + 4 * lane + 3 * LANES)
        for e in range(first, last):
            extrinsic = load(scratch, (e - first) * padded + lane)
            magnitude = select_equal(_magnitude(extrinsic), weakest, others, everything)
            message = copy_sign(magnitude, bit_xor(sign, extrinsic))
            store(messages, e * padded + lane, message)
            updated = add_sat(extrinsic, message)
            store(posterior, schedule.write[e] + lane, updated)
            store(posterior, schedule.write[e] + length + lane, updated)


@_jit
def _failed_checks(posterior: np.ndarray, schedule: Schedule, length: int, everyone: int) -> np.int64:
    """Bit b is set when codeword b fails a check; ends once every codeword in `everyone` is known to fail."""
    failed = np.int64(0)
    for layer in range(schedule.layers.size - 1):
        for lane in range(0, length, LANES):
            parity = splat(np.int16(0))
            for e in range(schedule.layers[layer], schedule.layers[layer + 1]):
                parity = bit_xor(parity, load(posterior, schedule.check[e] + lane))
            lanes = sign_mask(parity)
            if length - lane < LANES:
                lanes &= (np.int64(1) << (length - lane)) - 1
            fold = LANES // 2
            while fold >= schedule.codewords:
                lanes |= lanes >> fold
                fold //= 2
            failed |= lanes
        failed &= everyone
        if failed == everyone:
            break
    return failed


@_jit
def _recover_rate(llr: np.ndarray, schedule: Schedule, buffer: np.ndarray) -> None:
    """Add the received versions [versions, n] up in the circular buffer, deinterleaved."""
    buffer[:] = 0.0
    step = schedule.bits_per_symbol
    rows = llr.shape[1] // step
    for version in range(llr.shape[0]):
        for i in range(step):
            position = (schedule.starts[version] + i * rows) % schedule.buffer_size
            head = min(rows, schedule.buffer_size - position)
            _accumulate(llr[version, i:], step, buffer[position : position + head])
            _accumulate(llr[version, i + head * step :], step, buffer[: rows - head])


@_jit
def _accumulate(values: np.ndarray, step: int, total: np.ndarray) -> None:
    if step == 1:  # a constant step lets the compiler vectorise
        for i in range(total.size):
            total[i] += values[i]
    else:
        for i in range(total.size):
            total[i] += values[i * step]


@_jit
def _quantise(buffer: np.ndarray, schedule: Schedule, channel: np.ndarray) -> None:
    """Code bits in int16, ln p(0)/p(1); punctured bits stay 0 and filler bits are known zeros."""
    punctured, k, filler = 2 * schedule.z, schedule.k, schedule.filler
    _to_levels(buffer[: k - punctured], channel[punctured:k])
    channel[k : k + filler] = _FILLER
    _to_levels(buffer[k - punctured :], channel[k + filler :])


@_jit
def _to_levels(llr: np.ndarray, levels: np.ndarray) -> None:
    for i in range(llr.size):
        level = min(max(np.float32(-_SCALE) * llr[i], np.float32(-_CHANNEL_MAX)), np.float32(_CHANNEL_MAX))
        levels[i] = np.int16(np.rint(level))


@_jit
def _insert(channel: np.ndarray, schedule: Schedule, posterior: np.ndarray, stride: int, b: int) -> None:
    """Write codeword b's lanes of every column, rotated, twice."""
    z, codewords = schedule.z, schedule.codewords
    for c in range(schedule.columns.size):
        column = channel[schedule.columns[c] * z : (schedule.columns[c] + 1) * z]
        rotation = schedule.rotations[c]
        for copy in range(2):
            begin = c * stride + copy * z * codewords + b
            _spread(column[rotation:], codewords, posterior[begin:])
            _spread(column[:rotation], codewords, posterior[begin + (z - rotation) * codewords :])


@_jit
def _spread(values: np.ndarray, step: int, column: np.ndarray) -> None:
    if step == 1:
        for i in range(values.size):
            column[i] = values[i]
    else:
        for i in range(values.size):
            column[i * step] = values[i]


@_jit
def _extract(
    posterior: np.ndarray, schedule: Schedule, stride: int, b: int, bits: np.ndarray, soft: bool
) -> None:
    """Hard decisions on the first bits of codeword b, or their LLRs."""
    z = schedule.z
    for c in range(schedule.columns.size):
        decided = bits[schedule.columns[c] * z : (schedule.columns[c] + 1) * z]
        for i in range(decided.size):
            source = i - schedule.rotations[c]
            source += z * (source < 0)
            level = posterior[c * stride + source * schedule.codewords + b]
            decided[i] = np.float32(-1 / _SCALE) * level if soft else np.float32(level < 0)
