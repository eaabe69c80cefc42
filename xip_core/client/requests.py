"""Parts of requests, from what a caller gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from xip_core.errors import RequestError
from xip_core.graph.plan import digest_of
from xip_core.model.aggregates import Aggregate, parse_aggregate
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


def aggregates_of(asked: Sequence[Aggregate | str], covariance: bytes) -> tuple[Aggregate, ...]:
    """
    Aggregates as records; those that take a covariance and name none have the digest of *covariance*, if there is one.

    Raises:
        RequestError: those of `parse_aggregate`; BAD_AGGREGATE, a covariance that no aggregate takes.
    """
    parsed = tuple(parse_aggregate(one) if isinstance(one, str) else one for one in asked)
    if not covariance:
        return parsed
    takers = [one.measure == "delta_gamma_var" and not one.covariance for one in parsed]
    if not any(takers):
        sentence = 'a covariance must be for an aggregate such as "delta_gamma_var q=0.99", got none that takes it'
        raise RequestError("BAD_AGGREGATE", sentence)
    digest = digest_of(covariance)
    pairs = zip(parsed, takers, strict=True)
    return tuple(msgspec.structs.replace(one, covariance=digest) if takes else one for one, takes in pairs)


def signature_and_table(kernel: str, columns: Mapping[str, npt.ArrayLike]) -> tuple[KernelSignature | None, bytes]:
    """What a request for a kernel over a table needs; imports numpy, and the package that has the kernel."""
    from xip_core.graph.kernel_table import installed_signature
    from xip_core.model.table import check_table_size, encode_table

    table = encode_table(columns)
    check_table_size(table)
    return installed_signature(kernel), table
