"""Vectors of numbers for Numba: code in which not a single operation is left to be vectorised.

LLVM vectorises loops only where it can tell that what is written is not read by a later turn, which
it cannot for a butterfly's eight inputs and eight outputs. Here the operations are emitted as
operations on vectors.

A function under `staged` runs once, while a kernel is compiled, and what it does to `Memory`,
`Index` and `Vector` becomes machine code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import binding, ir
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic


def _features() -> Any:
    """Return what LLVM knows of this processor."""
    try:
        return binding.get_host_cpu_features()
    except RuntimeError:
        return {}


AVX2 = bool(_features().get("avx2"))
AVX512 = bool(_features().get("avx512f"))
# Bytes in a vector. 20×512×512 float32 filtered by AVX2 take 22 ms with 32 of them, and 30 with 64.
BYTES = 64 if AVX512 else 32
# As in `compiled`: a·b + c in one rounding, and nothing that assumes finite numbers.
_FLAGS = ("contract",)
_INT32 = ir.IntType(32)


class Index:
    """An integer known when the kernel runs."""

    def __init__(self, builder: Any, value: Any) -> None:
        self._builder = builder
        self.value = value

    def __add__(self, other: Index | int) -> Index:
        return Index(self._builder, self._builder.add(self.value, self.as_value(other)))

    def __mul__(self, other: Index | int) -> Index:
        return Index(self._builder, self._builder.mul(self.value, self.as_value(other)))

    def __sub__(self, other: Index | int) -> Index:
        return Index(self._builder, self._builder.sub(self.value, self.as_value(other)))

    def at_most(self, limit: Index) -> Index:
        """Return this integer or the limit, whichever is less."""
        less = self._builder.icmp_signed("<", self.value, limit.value)
        return Index(self._builder, self._builder.select(less, self.value, limit.value))

    def as_value(self, other: Index | int) -> Any:
        """Return another integer, maybe a constant, as LLVM wants it."""
        return other.value if isinstance(other, Index) else ir.Constant(self.value.type, other)


class Vector:
    """As many real numbers as `BYTES` hold."""

    def __init__(self, builder: Any, value: Any) -> None:
        self._builder = builder
        self.value = value
        self.lanes = value.type.count

    def __add__(self, other: Vector) -> Vector:
        return self._emit("fadd", other)

    def __sub__(self, other: Vector) -> Vector:
        return self._emit("fsub", other)

    def __mul__(self, other: Vector | float) -> Vector:
        if not isinstance(other, Vector):
            constant = ir.Constant(self.value.type, [other] * self.lanes)
            other = Vector(self._builder, constant)
        return self._emit("fmul", other)

    def interleaved(self, other: Vector, group: int = 1) -> tuple[Vector, Vector]:
        """Return groups of lanes from both in turn: those of the first halves, of the second."""
        pairs = [
            source * self.lanes + start + i
            for start in range(0, self.lanes, group)
            for source in (0, 1)
            for i in range(group)
        ]
        first, second = pairs[: self.lanes], pairs[self.lanes :]
        return self._shuffled(other, first), self._shuffled(other, second)

    def separated(self, other: Vector) -> tuple[Vector, Vector]:
        """Undo `interleaved`."""
        even, odd = range(0, 2 * self.lanes, 2), range(1, 2 * self.lanes, 2)
        return self._shuffled(other, even), self._shuffled(other, odd)

    def after(self, done: Index, old: Vector) -> Vector:
        """Return this vector, but with the first lanes, which are done, from the old one."""
        kind = ir.VectorType(done.value.type, self.lanes)
        numbers = ir.Constant(kind, list(range(self.lanes)))
        new = self._builder.icmp_signed(">=", numbers, _spread(self._builder, done.value, kind))
        return Vector(self._builder, self._builder.select(new, self.value, old.value))

    def zero_where_equal(self, left: Index, right: Index | int) -> Vector:
        """Return this vector, or zeros if the integers are equal."""
        equal = self._builder.icmp_signed("==", left.value, left.as_value(right))
        zeros = ir.Constant(self.value.type, None)
        return Vector(self._builder, self._builder.select(equal, zeros, self.value))

    def _emit(self, operation: str, other: Vector) -> Vector:
        value = getattr(self._builder, operation)(self.value, other.value, flags=_FLAGS)
        return Vector(self._builder, value)

    def _shuffled(self, other: Vector, lanes: Sequence[int]) -> Vector:
        mask = ir.Constant(ir.VectorType(_INT32, self.lanes), list(lanes))
        return Vector(self._builder, self._builder.shuffle_vector(self.value, other.value, mask))


def transposed(vectors: Sequence[Vector], group: int = 1) -> list[Vector]:
    """Exchange vectors and groups of lanes, which are equally many."""
    half = len(vectors) // 2
    result = list(vectors)
    for _ in range(half.bit_length()):
        pairs = zip(result[:half], result[half:], strict=True)
        result = [vector for a, b in pairs for vector in a.interleaved(b, group)]
    return result


class Memory:
    """A C-contiguous array as a sequence of real numbers, or of integers."""

    def __init__(self, builder: Any, pointer: Any, number: Any, *, is_complex: bool) -> None:
        self._builder = builder
        self.is_complex = is_complex
        self._pointer = builder.bitcast(pointer, number.as_pointer())
        self._size = 4 if isinstance(number, ir.FloatType) else 8
        self.lanes = BYTES // self._size
        self._vector = ir.VectorType(number, self.lanes)

    def load(self, index: Index) -> Vector:
        """Return as many real numbers as a vector has lanes, from this one on."""
        value = self._builder.load(self._address(index), align=self._size)
        return Vector(self._builder, value)

    def store(self, index: Index, vector: Vector) -> None:
        """Write all lanes, from this number on."""
        self._builder.store(vector.value, self._address(index), align=self._size)

    def spread(self, index: Index) -> Vector:
        """Return one number in all lanes."""
        number = self._builder.load(self._builder.gep(self._pointer, [index.value]))
        return Vector(self._builder, _spread(self._builder, number, self._vector))

    def index(self, index: Index) -> Index:
        """Return one integer."""
        number = self._builder.load(self._builder.gep(self._pointer, [index.value]))
        return Index(self._builder, number)

    def _address(self, index: Index) -> Any:
        pointer = self._builder.gep(self._pointer, [index.value])
        return self._builder.bitcast(pointer, self._vector.as_pointer())


def staged(emit: Callable[..., None]) -> Any:
    """Make a function of arrays, integers and real numbers (in all lanes) callable in kernels."""

    def function(_: Any, *arguments: Any) -> Any:
        given = [types.intp if isinstance(a, types.Integer) else a for a in arguments]
        if any(isinstance(a, types.Array) and a.layout != "C" for a in given):
            raise TypingError("arrays must be C-contiguous")

        def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
            emit(*(_wrap(context, builder, *pair) for pair in zip(given, values, strict=True)))
            return context.get_dummy_value()

        return types.void(*given), generate

    function.__name__ = emit.__name__
    # Numba pairs a call's arguments with the parameters that it sees
    parameters = inspect.signature(emit).parameters.values()
    context = inspect.Parameter("_", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([context, *parameters])
    function.__signature__ = signature  # type: ignore[attr-defined]
    return intrinsic(function)


def _wrap(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.Array):
        number = getattr(kind.dtype, "underlying_float", kind.dtype)
        pointer = context.make_array(kind)(context, builder, value).data
        is_complex = isinstance(kind.dtype, types.Complex)
        return Memory(builder, pointer, context.get_value_type(number), is_complex=is_complex)
    if isinstance(kind, types.Float):
        lanes = BYTES * 8 // kind.bitwidth
        return Vector(builder, _spread(builder, value, ir.VectorType(value.type, lanes)))
    return Index(builder, value)


def _spread(builder: Any, number: Any, vector: Any) -> Any:
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(_INT32, 0))
    zeros = ir.Constant(ir.VectorType(_INT32, vector.count), None)
    return builder.shuffle_vector(first, nothing, zeros)
