"""SIMD vectors of 16-bit integers for numba: LLVM maps them to AVX-512, AVX2, SSE or NEON as the CPU has it.

Numba's automatic vectorisation cannot prove that the slices of one message array do not overlap, so the
decoder's loops name the vector operations themselves. Each function here is one LLVM instruction.
"""

from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.extending import models, register_model

LANES = 32

# numba annotates an intrinsic with the typing context, which calls in compiled code do not pass.
intrinsic: Any = extending.intrinsic

_VECTOR = ir.VectorType(ir.IntType(16), LANES)


class Int16Vector(types.Type):
    """Numba type of LANES int16 values held in SIMD registers."""

    def __init__(self) -> None:
        super().__init__(name="Int16Vector")


_vector_type = Int16Vector()


@register_model(Int16Vector)
class _Int16VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """array[index : index + LANES] as a vector."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.load(pointer, align=2)

    return _vector_type(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, vector: Any) -> Any:
    """array[index : index + LANES] = vector."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], pointer, align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, _vector_type), codegen


@intrinsic
def splat(typingctx: Any, value: Any) -> Any:
    """A vector with every lane equal to the int16 `value`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        one = builder.insert_element(
            ir.Constant(_VECTOR, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), zeros)

    return _vector_type(types.int16), codegen


def _binary(name: str) -> Any:
    """A two-operand vector operation: an LLVM intrinsic ("llvm.smin") or a method of the builder ("xor")."""

    @intrinsic
    def operation(typingctx: Any, left: Any, right: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if not name.startswith("llvm."):
                return getattr(builder, name)(*args)
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR]), f"{name}.v{LANES}i16"
            )
            return builder.call(function, args)

        return _vector_type(_vector_type, _vector_type), codegen

    return operation


add_sat = _binary("llvm.sadd.sat")
sub_sat = _binary("llvm.ssub.sat")
add_ceiling = _binary("llvm.uadd.sat")
sub_floor0 = _binary("llvm.usub.sat")
minimum = _binary("llvm.smin")
maximum = _binary("llvm.smax")
add = _binary("add")
sub = _binary("sub")
shift_right = _binary("lshr")
bit_xor = _binary("xor")


@intrinsic
def select_equal(typingctx: Any, left: Any, right: Any, then: Any, otherwise: Any) -> Any:
    """Per lane: then where left == right, otherwise elsewhere."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.icmp_signed("==", args[0], args[1]), args[2], args[3])

    return _vector_type(*[_vector_type] * 4), codegen


@intrinsic
def copy_sign(typingctx: Any, magnitude: Any, sign: Any) -> Any:
    """Per lane: -magnitude where sign < 0, magnitude elsewhere."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        negative = builder.icmp_signed("<", args[1], ir.Constant(_VECTOR, [0] * LANES))
        return builder.select(negative, builder.neg(args[0]), args[0])

    return _vector_type(_vector_type, _vector_type), codegen


@intrinsic
def sign_mask(typingctx: Any, vector: Any) -> Any:
    """Bit i of the int64 result is the sign bit of lane i."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        negative = builder.icmp_signed("<", args[0], ir.Constant(_VECTOR, [0] * LANES))
        return builder.zext(builder.bitcast(negative, ir.IntType(LANES)), ir.IntType(64))

    return types.int64(_vector_type), codegen
