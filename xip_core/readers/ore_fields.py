"""Elements of an ORE trade, read so that nothing is passed over in silence.

`Fields` remembers which children were asked for; `done` refuses the rest. An element that is there but empty counts as
absent, as ORE has it.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

from xip_core.errors import CellError, FailureReason

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_TRUE, _FALSE = frozenset({"true", "y", "yes", "1"}), frozenset({"false", "n", "no", "0"})


class Fields:
    """The children of one element. Methods raise CellError(BAD_TRADE) naming element and value."""

    def __init__(self, element: Element, path: str) -> None:
        self._element = element
        self._asked: set[str] = set()
        self._opened: list[Fields] = []
        self.path = path

    def text(self, name: str, default: str | None = None) -> str:
        """Text of the child *name*; without a default the child must be there."""
        self._asked.add(name)
        value = (self._element.findtext(name) or "").strip()
        if value:
            return value
        if default is None:
            raise _bad(f"{self.path} must have {name}")
        return default

    def texts(self, name: str) -> tuple[str, ...]:
        """Texts of all children *name* that have one."""
        self._asked.add(name)
        return tuple(text for child in self._element.findall(name) if (text := (child.text or "").strip()))

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number."""
        text = self.text(name, None if default is None else "")
        return default if default is not None and not text else _number(text, name)

    def numbers(self, group: str, name: str) -> tuple[float, ...]:
        """Numbers of the children *name* of the child *group*; none where the group is absent."""
        child = self.child(group, required=False)
        if child is None:
            return ()
        values = tuple(_number(text, name) for text in child.plain_texts(name))
        child.done()
        return values

    def plain_texts(self, name: str) -> tuple[str, ...]:
        """Like `texts`, but attributes (a start date of a step) are refused."""
        for child in self._element.findall(name):
            if child.attrib:
                raise CellError(
                    FailureReason.UNSUPPORTED, f"{self.path}/{name} with {', '.join(child.attrib)} is not supported"
                )
        return self.texts(name)

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number."""
        text = self.text(name, None if default is None else str(default))
        try:
            return int(text)
        except ValueError:
            raise _bad(f"{name} must be a whole number, got {text!r}") from None

    def flag(self, name: str, default: bool) -> bool:
        """true or false, as ORE writes them (Y, true, 1, ..)."""
        text = self.text(name, str(default)).lower()
        if text not in _TRUE | _FALSE:
            raise _bad(f"{name} must be true or false, got {text!r}")
        return text in _TRUE

    def date(self, name: str) -> dt.date:
        """A date, 20160205 or 2016-02-05."""
        return _date(self.text(name), name)

    def date_or_none(self, name: str) -> dt.date | None:
        """A date, or None where the child is absent or empty."""
        text = self.text(name, "")
        return _date(text, name) if text else None

    def dates(self, name: str) -> tuple[dt.date, ...]:
        """Dates of all children *name*."""
        return tuple(_date(text, name) for text in self.texts(name))

    def child(self, name: str, required: bool = True) -> Fields:
        """The child *name*; where it is not required and absent, one without children."""
        self._asked.add(name)
        found = self._element.find(name)
        if found is None:
            if required:
                raise _bad(f"{self.path} must have {name}")
            from xml.etree.ElementTree import Element

            found = Element(name)
        return Fields(found, f"{self.path}/{name}")

    def children(self, name: str) -> list[Fields]:
        """All children *name*."""
        self._asked.add(name)
        return [Fields(child, f"{self.path}/{name}") for child in self._element.findall(name)]

    def has(self, name: str) -> bool:
        """The child is there and holds text or children."""
        found = self._element.find(name)
        return found is not None and (len(found) > 0 or bool((found.text or "").strip()))

    def refuse(self, name: str, feature: str) -> None:
        """
        Raises:
            CellError: UNSUPPORTED, the child *name* is there; *feature* says what it means.
        """
        self._asked.add(name)
        if self.has(name):
            raise CellError(FailureReason.UNSUPPORTED, f"{feature} ({self.path}/{name}) is not supported")

    def done(self) -> None:
        """
        Raises:
            CellError: BAD_TRADE, a child was never asked for; empty ones say nothing and are let pass.
        """
        for child in self._element:
            if child.tag not in self._asked and (len(child) or (child.text or "").strip()):
                raise _bad(f"unknown element {self.path}/{child.tag}")


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _bad(f"{name} must be a number, got {text!r}") from None
    if not math.isfinite(value):
        raise _bad(f"{name} must be a finite number, got {text!r}")
    return value


def _date(text: str, name: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise _bad(f"{name} must be a date like 2016-02-05 or 20160205, got {text!r}") from None


def _bad(sentence: str) -> CellError:
    return CellError(FailureReason.BAD_TRADE, sentence)
