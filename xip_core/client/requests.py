"""Parts of requests, from what a caller gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from xip_core.errors import RequestError
from xip_core.model.detail import Detail
from xip_core.model.run_spec import KernelSignature

if TYPE_CHECKING:
    import numpy.typing as npt


def detail_of(word: Detail | str) -> Detail:
    """
    Raises:
        RequestError: BAD_DETAIL.
    """
    try:
        return Detail(word)
    except ValueError:
        raise RequestError("BAD_DETAIL", f"detail must be none, base or all, got {word!r}") from None


def signature_and_table(kernel: str, columns: Mapping[str, npt.ArrayLike]) -> tuple[KernelSignature | None, bytes]:
    """What a request for a kernel over a table needs; imports numpy, and the package that has the kernel."""
    from xip_core.graph.kernel_table import installed_signature
    from xip_core.model.table import check_table_size, encode_table

    table = encode_table(columns)
    check_table_size(table)
    return installed_signature(kernel), table
