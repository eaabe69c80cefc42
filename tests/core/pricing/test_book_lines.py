"""`xip_core.pricing.book_lines`: the lines of a book that a tile wants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xip_core.pricing import book_lines
from xip_core.pricing.book_lines import chosen_lines, line_ends


@given(
    book=st.binary(max_size=40).map(lambda content: content.replace(b"n", b"\n")) | st.text("ab\n\r").map(str.encode),
    chosen=st.lists(st.integers(0, 1_000)),
    step=st.integers(1, 50),
)
def test_lines_are_those_that_splitting_gives(book: bytes, chosen: list[int], step: int) -> None:
    lines = book.split(b"\n")
    rows = [row % len(lines) for row in chosen]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(book_lines, "LOOKED_AT_BYTES", step)
        ends = line_ends(book)
    assert len(ends) == len(lines)
    assert chosen_lines(book, ends, np.array(rows, dtype=np.int32)) == [lines[row] for row in rows]


def test_a_row_behind_the_last_line_is_an_error() -> None:
    with pytest.raises(IndexError):
        chosen_lines(b"a\nb", line_ends(b"a\nb"), np.array([2], dtype=np.int32))
