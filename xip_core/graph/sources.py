"""What a run is planned from: the sources of its request, read, found sound and to fit each other.

Several sources often share blobs (one book on two days, two books of one day): each blob is read once, and what was
read is kept for the next request (`graph.kept`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import msgspec

from xip_core.errors import NotFoundError, RequestError
from xip_core.graph import cost
from xip_core.graph.cost import TileShape
from xip_core.graph.kept import KEPT, KeptMarket, check_fit, market_of, scenarios_of, view_of
from xip_core.graph.nodes import BUMPS_OPERATION, ScenarioShape
from xip_core.graph.plan import Source
from xip_core.graph.request import canonical_measures
from xip_core.graph.rows import ROW_COUNT_MAX, BookRows, read_rows
from xip_core.model.risk_class import RISK_CLASSES
from xip_core.model.run_spec import Detail, RiskWork
from xip_core.model.sensitivity import Expansion, column_names, decode_sensitivities, expand

Blob = Callable[[str], bytes]


@runtime_checkable
class LinedBlob(Protocol):
    """A `Blob` that also gives large ones piece by piece."""

    def __call__(self, digest: str) -> bytes: ...

    def lines(self, digest: str) -> Iterable[bytes]:
        """Pieces of whole lines, as often as they are gone through; NotFoundError at once."""


class ReadSource(msgspec.Struct, frozen=True):
    """
    Attributes:
        market_key: equal where sources share calibrated scenarios.
        resolve_key: equal where they share resolved rows, if their tiles have one shape.
        scenario_names: the base first.
        expansion: of ladders in place of scenarios, else None.
    """

    source: Source
    book: BookRows
    shape: ScenarioShape
    market_key: tuple[object, ...]
    resolve_key: tuple[object, ...]
    scenario_names: tuple[str, ...]
    expansion: Expansion | None = None


def read_sources(
    works: Sequence[RiskWork], names: Sequence[str], keys: tuple[str, ...], blob: Blob
) -> list[ReadSource]:
    """
    Args:
        names: of the sources, for screens.
        keys: hierarchy keys of the leaf groups.

    Raises:
        RequestError: as `planner.plan_run`.
    """
    reader = _Reader(blob, keys)
    found: list[ReadSource] = []
    row_begin = 0
    for work, name in zip(works, names, strict=True):
        try:
            found.append(reader.read(work, name, row_begin))
        except RequestError as error:
            if not name:
                raise
            raise RequestError(error.reason, f"node {name!r}: {error}") from None
        row_begin += found[-1].book.row_count
        if row_begin > ROW_COUNT_MAX:
            sentence = f"the books of a run must have at most {ROW_COUNT_MAX} rows, got {row_begin} or more"
            raise RequestError("TOO_LARGE", sentence)
    return found


class _Reader:
    """Blobs by digest, each decoded once."""

    def __init__(self, blob: Blob, keys: tuple[str, ...]) -> None:
        self._blob = blob
        self._lines: Callable[[str], bytes | Iterable[bytes]] = blob.lines if isinstance(blob, LinedBlob) else blob
        self._keys = keys
        self._books: dict[str, BookRows] = {}

    def read(self, work: RiskWork, name: str, row_begin: int) -> ReadSource:
        market = market_of(work.market_digest, lambda: self._uploaded("market", work.market_digest))
        scenario_names, shape, expansion = self._checked_scenarios(work, market)
        book = self._book(work.book_digest)
        source = Source(
            book_digest=work.book_digest,
            market_digest=work.market_digest,
            scenarios_digest=work.scenarios_digest,
            as_of=work.as_of,
            base_currency=work.base_currency,
            measures=canonical_measures(work.measures),
            risk_classes=tuple(name for name in RISK_CLASSES if name in work.risk_classes),
            detail=work.detail,
            row_begin=row_begin,
            row_count=book.row_count,
            scenario_count=shape.scenario_count,
            name=name,
        )
        return ReadSource(
            source=source,
            book=book,
            shape=shape,
            market_key=(work.market_digest, work.scenarios_digest, source.risk_classes),
            resolve_key=(work.book_digest, market.definitions),
            scenario_names=scenario_names,
            expansion=expansion,
        )

    def _book(self, digest: str) -> BookRows:
        if digest not in self._books:
            self._books[digest] = _rows_of(digest, self._keys, lambda: _uploaded("book", digest, self._lines))
        return self._books[digest]

    def _checked_scenarios(
        self, work: RiskWork, market: KeptMarket
    ) -> tuple[tuple[str, ...], ScenarioShape, Expansion | None]:
        """The scenarios' names, shape and, of ladders, expansion, after market and scenarios were found to fit."""
        snapshot, digest = market.snapshot, work.scenarios_digest
        if snapshot.as_of.isoformat() != work.as_of:
            sentence = f"as_of must be that of the market snapshot, {snapshot.as_of.isoformat()}, got {work.as_of}"
            raise RequestError("AS_OF_MISMATCH", sentence)
        if work.base_currency != snapshot.base_currency:
            sentence = f"base_currency must be the market snapshot's, {snapshot.base_currency}"
            raise RequestError("BAD_BASE_CURRENCY", f"{sentence}, got {work.base_currency!r}")
        scenarios = scenarios_of(digest, lambda: self._uploaded("scenarios", digest))
        if scenarios is None:
            expansion = expand(decode_sensitivities(self._uploaded("scenarios", digest)), snapshot)
            kernel, names = BUMPS_OPERATION, column_names(expansion)
        else:
            check_fit(work.market_digest, market, digest, scenarios)
            kernel, names, expansion = "calibrate", scenarios.names, None
        factor_count = view_of(market).quote_use_count  # at most one a quote
        if factor_count > cost.FACTOR_COUNT_MAX:
            sentence = f"a market must have at most {cost.FACTOR_COUNT_MAX} quotes in its objects, got {factor_count}"
            raise RequestError("TOO_LARGE", sentence)
        is_detailed = work.detail == Detail.ALL or kernel == BUMPS_OPERATION
        per_tile = cost.scenarios_per_tile(len(names), factor_count)
        return names, ScenarioShape(len(names), TileShape(per_tile, is_detailed), kernel), expansion

    def _uploaded(self, what: str, digest: str) -> bytes:
        return _uploaded(what, digest, self._blob)


Content = TypeVar("Content")


def _uploaded(what: str, digest: str, read: Callable[[str], Content]) -> Content:
    try:
        return read(digest)
    except NotFoundError:
        sentence = f"{what}_digest must name an uploaded blob, got {digest}, which is not here"
        raise RequestError("BLOB_MISSING", sentence) from None


BYTES_PER_KEPT_ROW = 8
BYTES_PER_KEPT_RECORD = 400
"""A leaf group with its labels, a row of the quarantine with its sentence."""


def _rows_of(digest: str, keys: tuple[str, ...], content: Callable[[], bytes | Iterable[bytes]]) -> BookRows:
    """Rows of a book follow from its content."""

    def make() -> tuple[BookRows, int]:
        book = read_rows(content(), keys)
        record_count = len(book.leaves) + len(book.quarantine)
        return book, BYTES_PER_KEPT_ROW * book.row_count + BYTES_PER_KEPT_RECORD * record_count

    return KEPT.get(("rows", digest, keys), make)
