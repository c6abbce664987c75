"""The element types of tensors, under OpenVINO's names, and their numpy counterparts.

Types narrower than a byte are packed: their tensors are flat arrays of bytes. bf16 shows as float16
and the f8 types as uint8 because numpy has no type for them: the raw bits, as OpenVINO does.
Strings can't be shared: their tensors hold offsets and UTF-8 bytes (see `layouts`).
"""

import enum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from inferd.shm.errors import WrongType, WrongValue


class ElementType(enum.Enum):
    """An element type. The value is: bits per element, numpy type, name in ``repr``."""

    boolean = (8, "bool", "char")
    bf16 = (16, "float16", "bfloat16")
    f16 = (16, "float16", "float16")
    f32 = (32, "float32", "float32")
    f64 = (64, "float64", "double64")
    f4e2m1 = (4, "uint8", "f4e2m1")
    f8e4m3 = (8, "uint8", "f8e4m3")
    f8e5m2 = (8, "uint8", "f8e5m2")
    f8e8m0 = (8, "uint8", "f8e8m0")
    i4 = (4, "int8", "int4_t")
    i8 = (8, "int8", "int8_t")
    i16 = (16, "int16", "int16_t")
    i32 = (32, "int32", "int32_t")
    i64 = (64, "int64", "int64_t")
    nf4 = (4, "uint8", "nfloat4")
    u1 = (1, "uint8", "uint1_t")
    u2 = (2, "uint8", "uint2_t")
    u3 = (3, "uint8", "uint3_t")
    u4 = (4, "uint8", "uint4_t")
    u6 = (6, "uint8", "uint6_t")
    u8 = (8, "uint8", "uint8_t")
    u16 = (16, "uint16", "uint16_t")
    u32 = (32, "uint32", "uint32_t")
    u64 = (64, "uint64", "uint64_t")
    string = (256, "bytes", "string")
    dynamic = (0, "", "dynamic")

    @classmethod
    def _missing_(cls, value: object) -> Self:
        """Find the type for whatever numpy takes for one: ``np.float32``, ``"float32"``, ``float``.

        Raises
        ------
        WrongType
            It names no numpy type.
        WrongValue
            The numpy type has no counterpart.
        """
        if value is None:  # numpy would read it as float64
            raise WrongType("None names no element type")
        try:
            dtype = np.dtype(value)  # type: ignore[call-overload]  # any object may be asked for
        except (TypeError, ValueError, SyntaxError):  # numpy parses text as a little language
            raise WrongType(f"{value!r} names no element type") from None
        name = "string" if dtype.kind in "SU" else _NAME_OF_DTYPE.get(dtype.name)
        if name is None or not dtype.isnative:
            raise WrongValue(f"no element type for numpy type {dtype}")
        return cls[name]

    def to_dtype(self) -> np.dtype[Any]:
        """Return the numpy type of the elements, or of the bytes that hold packed ones."""
        if self is ElementType.dynamic:
            raise IndexError("a dynamic element type has no numpy type")
        dtype: np.dtype[Any] = np.dtype(self.value[1])
        return dtype

    @property
    def bitwidth(self) -> int:
        """Bits per element; 0 for `dynamic`."""
        return int(self.value[0])

    @property
    def size(self) -> int:
        """Bytes per element, rounded up."""
        return (self.bitwidth + 7) // 8 if self is not ElementType.string else 32

    @property
    def is_packed(self) -> bool:
        """Whether several elements share a byte."""
        return 0 < self.bitwidth < 8

    @property
    def type_name(self) -> str:
        """The name: ``f32``."""
        return self.name

    @property
    def real(self) -> bool:
        """Whether elements are floating-point numbers."""
        return self.name[0] == "f" or self.name == "bf16"

    @property
    def signed(self) -> bool:
        """Whether elements may be negative."""
        return self.real or self.name[0] == "i" or self is ElementType.boolean

    @property
    def integral(self) -> bool:
        """Whether elements are not real: whole numbers, booleans, and what OpenVINO counts in."""
        return not self.real

    @property
    def integral_number(self) -> bool:
        """Whether elements are integral, and not booleans."""
        return self.integral and self is not ElementType.boolean

    @property
    def quantized(self) -> bool:
        """Whether OpenVINO uses the type in quantized models."""
        return self.name in _QUANTIZED

    def is_dynamic(self) -> bool:
        """Whether the type is not known."""
        return self is ElementType.dynamic

    def is_static(self) -> bool:
        """Whether the type is known."""
        return self is not ElementType.dynamic

    def is_real(self) -> bool:
        """Return `real`."""
        return self.real

    def is_signed(self) -> bool:
        """Return `signed`."""
        return self.signed

    def is_integral(self) -> bool:
        """Return `integral`."""
        return self.integral

    def is_integral_number(self) -> bool:
        """Return `integral_number`."""
        return self.integral_number

    def is_quantized(self) -> bool:
        """Return `quantized`."""
        return self.quantized

    def get_bitwidth(self) -> int:
        """Return `bitwidth`."""
        return self.bitwidth

    def get_size(self) -> int:
        """Return `size`."""
        return self.size

    def get_type_name(self) -> str:
        """Return the name: ``f32``."""
        return self.name

    def to_string(self) -> str:
        """Return the name: ``f32``."""
        return self.name

    def compatible(self, other: "ElementType") -> bool:
        """Whether the types are equal or one of them is not known.

        Raises
        ------
        WrongType
            The other is no element type.
        """
        if not isinstance(other, ElementType):
            raise WrongType(f"an element type is compared with another, got {other!r}")
        return self is other or self.is_dynamic() or other.is_dynamic()

    def merge(self, other: "ElementType") -> "ElementType | None":
        """Return the more specific of two compatible types, or None.

        Raises
        ------
        WrongType
            The other is no element type.
        """
        if not self.compatible(other):
            return None
        return other if self.is_dynamic() else self

    def __repr__(self) -> str:
        return f"<Type: '{self.value[2]}'>"

    __str__ = __repr__


_QUANTIZED = frozenset(("f4e2m1", "f8e4m3", "f8e5m2", "f8e8m0", "i32", "i4", "i8", "nf4", "u8"))
_NAME_OF_DTYPE = {
    "bool": "boolean",
    **{f"float{bits}": f"f{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"i{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"u{bits}" for bits in (8, 16, 32, 64)},
}

# How many elements fill how many bytes, where an element may straddle a byte's end.
_PACKED_GROUPS = {"u3": (8, 3), "u6": (4, 3)}


def packed_bytes(element_type: ElementType, elements: int) -> int:
    """Return the bytes that hold this many elements of a packed type."""
    per_group, group_bytes = _PACKED_GROUPS.get(element_type.name, (8 // element_type.bitwidth, 1))
    return -(-elements // per_group) * group_bytes


def of_array(array: NDArray[Any]) -> ElementType:
    """Return the element type of a numpy array; raise `WrongValue` where there is none."""
    return ElementType(array.dtype)
