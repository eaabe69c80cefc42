"""What a run is planned from: the sources of its request, read, found sound and to fit each other.

Several sources often share blobs (one book on two days, two books of one day): each blob is read once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from xip_core.errors import NotFoundError, RequestError
from xip_core.graph import cost
from xip_core.graph.cost import TileShape
from xip_core.graph.nodes import BUMPS_OPERATION, ScenarioShape
from xip_core.graph.plan import Source, digest_of
from xip_core.graph.request import canonical_measures
from xip_core.graph.rows import ROW_COUNT_MAX, BookRows, read_rows
from xip_core.model.market import Snapshot, decode_snapshot
from xip_core.model.market_objects import market_objects
from xip_core.model.risk_class import RISK_CLASSES
from xip_core.model.run_spec import Detail, RiskWork
from xip_core.model.scenario import ScenarioMarket, decode_scenarios
from xip_core.model.sensitivity import column_names, decode_sensitivities, expand
from xip_core.model.sensitivity_head import is_sensitivity_set

Blob = Callable[[str], bytes]


class ReadSource(msgspec.Struct, frozen=True):
    """
    Attributes:
        market_key: equal where sources share calibrated scenarios.
        resolve_key: equal where they share resolved rows, if their tiles have one shape.
        scenario_names: the base first.
    """

    source: Source
    book: BookRows
    shape: ScenarioShape
    market_key: tuple[object, ...]
    resolve_key: tuple[object, ...]
    scenario_names: tuple[str, ...]


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
        self._keys = keys
        self._books: dict[str, BookRows] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._definitions: dict[str, str] = {}

    def read(self, work: RiskWork, name: str, row_begin: int) -> ReadSource:
        market = self._uploaded("market", work.market_digest)
        scenarios = self._uploaded("scenarios", work.scenarios_digest)
        book = self._book(work.book_digest)
        snapshot = self._snapshot(work.market_digest, market)
        scenario_names, shape = _checked_scenarios(work, snapshot, scenarios)
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
            resolve_key=(work.book_digest, self._definitions[work.market_digest]),
            scenario_names=scenario_names,
        )

    def _book(self, digest: str) -> BookRows:
        if digest not in self._books:
            self._books[digest] = _rows_of(digest, self._keys, lambda: self._uploaded("book", digest))
        return self._books[digest]

    def _snapshot(self, digest: str, market: bytes) -> Snapshot:
        """The snapshot; what rows are resolved against is all of it but the quotes."""
        if digest not in self._snapshots:
            snapshot = self._snapshots[digest] = decode_snapshot(market)
            definitions = msgspec.structs.replace(snapshot, quotes={})
            self._definitions[digest] = digest_of(msgspec.msgpack.encode(definitions))
        return self._snapshots[digest]

    def _uploaded(self, what: str, digest: str) -> bytes:
        try:
            return self._blob(digest)
        except NotFoundError:
            sentence = f"{what}_digest must name an uploaded blob, got {digest}, which is not here"
            raise RequestError("BLOB_MISSING", sentence) from None


BOOKS_KEPT_MAX = 4
ROWS_KEPT_MAX = 2_000_000
"""Of a book that is kept: 40 MB."""

_books_kept: OrderedDict[tuple[str, tuple[str, ...]], BookRows] = OrderedDict()
_books_lock = threading.Lock()


def _rows_of(digest: str, keys: tuple[str, ...], content: Callable[[], bytes]) -> BookRows:
    """Rows of a book follow from its content: those planned last are kept, for a desk plans one book at every tick."""
    key = (digest, keys)
    with _books_lock:
        book = _books_kept.get(key)
        if book is not None:
            _books_kept.move_to_end(key)
            return book
    book = read_rows(content(), keys)
    if book.row_count <= ROWS_KEPT_MAX:
        with _books_lock:
            _books_kept[key] = book
            if len(_books_kept) > BOOKS_KEPT_MAX:
                _books_kept.popitem(last=False)
    return book


def _checked_scenarios(
    work: RiskWork, snapshot: Snapshot, scenarios: bytes
) -> tuple[tuple[str, ...], ScenarioShape]:
    """The scenarios' names and shape, after market and scenarios were found to fit the request."""
    if snapshot.as_of.isoformat() != work.as_of:
        sentence = f"as_of must be that of the market snapshot, {snapshot.as_of.isoformat()}, got {work.as_of}"
        raise RequestError("AS_OF_MISMATCH", sentence)
    if work.base_currency != snapshot.base_currency:
        sentence = f"base_currency must be the market snapshot's, {snapshot.base_currency}, got {work.base_currency!r}"
        raise RequestError("BAD_BASE_CURRENCY", sentence)
    if is_sensitivity_set(scenarios):
        kernel, names = BUMPS_OPERATION, column_names(expand(decode_sensitivities(scenarios), snapshot))
    else:
        scenario_set = decode_scenarios(scenarios)
        ScenarioMarket(snapshot).check(scenario_set)
        kernel, names = "calibrate", tuple(scenario.name for scenario in scenario_set.scenarios)
    factor_count = sum(len(item.quotes) for item in market_objects(snapshot).values())  # at most one a quote
    if factor_count > cost.FACTOR_COUNT_MAX:
        sentence = f"a market must have at most {cost.FACTOR_COUNT_MAX} quotes in its objects, got {factor_count}"
        raise RequestError("TOO_LARGE", sentence)
    is_detailed = work.detail == Detail.ALL or kernel == BUMPS_OPERATION
    per_tile = cost.scenarios_per_tile(len(names), factor_count)
    return names, ScenarioShape(len(names), TileShape(per_tile, is_detailed), kernel)
