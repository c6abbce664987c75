"""What each dimension of a tensor means: batch, channels, height.

A layout is written ``NCHW``, or ``[N,C,H,W]`` where names are longer than a letter. ``?`` is a
dimension without a name, ``...`` any number of them; what follows the dots is counted from the end.
"""

import re
from typing import Any, Final, Self

from inferd.shm.errors import WrongType, WrongValue

_SCALAR: Final = "**SCALAR**"
_DOTS: Final = "..."
_SPELLINGS: Final = {
    "B": "N",
    "BATCH": "N",
    "CHANNEL": "C",
    "CHANNELS": "C",
    "DEPTH": "D",
    "HEIGHT": "H",
    "WIDTH": "W",
}


class Layout:
    """The names of a tensor's dimensions; case does not matter. ``Layout()`` says nothing.

    Raises
    ------
    WrongType
        The layout is not text.
    WrongValue
        The text is no layout: a name is malformed or appears twice.
    """

    __slots__ = ("__weakref__", "_indices", "_names")

    def __init__(self, layout_str: str = "") -> None:
        self._names = _parse(layout_str)
        dots = self._names.index(_DOTS) if _DOTS in self._names else len(self._names)
        self._indices = {
            name: index if index < dots else index - len(self._names)
            for index, name in enumerate(self._names)
            if name not in ("?", _DOTS)
        }

    @classmethod
    def scalar(cls) -> Self:
        """Return the layout of a tensor without dimensions."""
        return cls(_SCALAR)

    @property
    def empty(self) -> bool:
        """Whether the layout says nothing."""
        return self._names == (_DOTS,)

    def has_name(self, dimension_name: str) -> bool:
        """Whether a dimension has this name.

        Raises
        ------
        WrongType
            The name is not text.
        """
        return _canonical(dimension_name) in self._indices

    def get_index_by_name(self, dimension_name: str) -> int:
        """Return where the dimension is, from the end if it follows the dots: ``-1`` is the last.

        Raises
        ------
        WrongType
            The name is not text.
        WrongValue
            No dimension has this name.
        """
        if not self.has_name(dimension_name):
            raise WrongValue(f"layout {self} has no dimension {dimension_name!r}")
        return self._indices[_canonical(dimension_name)]

    def to_string(self) -> str:
        """Return the layout as text: ``[N,C,H,W]``."""
        return f"[{','.join(self._names)}]" if self._names else _SCALAR

    __str__ = to_string

    def __eq__(self, other: Any) -> bool:
        if isinstance(other, str):
            other = Layout(other)
        if not isinstance(other, Layout):
            return NotImplemented
        return self._names == other._names

    __hash__ = None  # type: ignore[assignment]  # as OpenVINO's; it equals text of any spelling

    def __repr__(self) -> str:
        return f"<Layout: {self}>"


def _parse(layout: Any) -> tuple[str, ...]:
    """Return the name of each dimension; none is the layout of a scalar."""
    if not isinstance(layout, str):
        raise WrongType(f"a layout is text, got {type(layout).__name__}")
    text = layout.strip()
    if not text:
        return (_DOTS,)
    if text == _SCALAR:
        return ()
    in_brackets = re.fullmatch(r"\[(.*)\]", text)
    parts = in_brackets[1].split(",") if in_brackets else re.findall(r"(?s)\.{3}|.", text)
    names: list[str] = []
    for part in map(str.strip, parts):
        if not re.fullmatch(r"(?a)\?|\.{3}|_*[A-Za-z0-9]\w*", part):
            raise WrongValue(f"{layout!r} is no layout: {part!r} names no dimension")
        name = _canonical(part)
        if name in names and name != "?":
            raise WrongValue(f"{layout!r} is no layout: {part!r} appears twice")
        names.append(name)
    return tuple(names)


def _canonical(name: Any) -> str:
    """Return the one spelling of a name that layouts are compared by."""
    if not isinstance(name, str):
        raise WrongType(f"the name of a dimension is text, got {type(name).__name__}")
    return _SPELLINGS.get(name.upper(), name.upper())
