"""What planning keeps of blobs between requests, for a desk plans one book over and over with a market that ticks.

    market      digest                                  -> snapshot, digest of its definitions
    view        definitions                             -> `ScenarioMarket`, for what it says by definitions alone
    scenarios   digest                                  -> the set, its names, its shifts that are bounded by strike
    fit         scenarios, definitions (or the market)  -> that they fit
    book rows   book, hierarchy keys                    -> `rows.BookRows`

Everything here is a function of the content that its key names by digest, so what is kept cannot change a byte of a
plan: it is what would be read again. Refusals are not kept, they raise again. A set fits a market by the market's
definitions alone, unless a shift goes by moneyness: what that names follows from spots, so its key is the whole market.

Kept is shared between threads and must not be changed. The least recently used go when the sizes, estimated from those
of the blobs, exceed `KEPT_BYTES_MAX`. Two threads may read the same blob at once; one reading is dropped.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

import msgspec

from xip_core.graph.plan import digest_of
from xip_core.model.market import Snapshot, decode_snapshot
from xip_core.model.scenario import ScenarioMarket, ScenarioSet, Shift, decode_scenarios
from xip_core.model.sensitivity_head import is_sensitivity_set

KEPT_BYTES_MAX = 256 << 20
"""Some dozen ticks of a large market, a few sets of scenarios, and books of some million trades."""

BYTES_PER_ENCODED_BYTE = 8
"""Decoded JSON against its text: measured 4 for scenarios, 7 for the sample's market."""

BYTES_PER_QUOTE_OF_VIEW = 2048
BYTES_PER_KEPT_FACT = 512

Content = Callable[[], bytes]
Value = TypeVar("Value")


class KeptMarket(msgspec.Struct, frozen=True):
    """A snapshot; *definitions* is the digest of all of it but the quotes."""

    snapshot: Snapshot
    definitions: str


class KeptScenarios(msgspec.Struct, frozen=True):
    """A set of scenarios.

    Attributes:
        names: in order, the base first.
        bounded: the first shift of each aim that is bounded by strike or moneyness.
    """

    scenarios: ScenarioSet
    names: tuple[str, ...]
    bounded: tuple[Shift, ...]


class Kept:
    """Least recently used values up to a total size."""

    def __init__(self, size_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._size_bytes_max = size_bytes_max
        self._size_bytes = 0
        self._entries: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def get(self, key: Hashable, make: Callable[[], tuple[Value, int]]) -> Value:
        """The value of *key*, which says all that *make* depends on; `make` gives it and its size in bytes."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
                return entry[0]  # type: ignore[return-value]  # a key is only ever used with one type
        value, size_bytes = make()
        with self._lock:
            if key not in self._entries and size_bytes <= self._size_bytes_max:
                self._entries[key] = value, size_bytes
                self._size_bytes += size_bytes
                while self._size_bytes > self._size_bytes_max:
                    self._size_bytes -= self._entries.popitem(last=False)[1][1]
        return value

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._size_bytes = 0


KEPT = Kept()
"""Of this process."""


def market_of(digest: str, content: Content) -> KeptMarket:
    """
    The snapshot of *digest*; *content* is asked for where it is not kept.

    Raises:
        RequestError: as `decode_snapshot`.
    """

    def make() -> tuple[KeptMarket, int]:
        encoded = content()
        snapshot = decode_snapshot(encoded)
        definitions = digest_of(msgspec.msgpack.encode(msgspec.structs.replace(snapshot, quotes={})))
        return KeptMarket(snapshot, definitions), BYTES_PER_ENCODED_BYTE * len(encoded)

    return KEPT.get(("market", digest), make)


def view_of(market: KeptMarket) -> ScenarioMarket:
    """
    Some market of the same definitions as seen by scenarios: for what follows from definitions alone, such as the
    objects that quotes reach, and never for values.
    """

    def make() -> tuple[ScenarioMarket, int]:
        view = ScenarioMarket(market.snapshot)
        return view, BYTES_PER_QUOTE_OF_VIEW * max(1, len(market.snapshot.quotes))

    return KEPT.get(("view", market.definitions), make)


def scenarios_of(digest: str, content: Content) -> KeptScenarios | None:
    """
    The set of *digest*, None where it is one of sensitivities; *content* is asked for where that is not kept.

    Raises:
        RequestError: as `decode_scenarios`.
    """

    def make() -> tuple[KeptScenarios | None, int]:
        encoded = content()
        if is_sensitivity_set(encoded):
            return None, BYTES_PER_KEPT_FACT
        scenarios = decode_scenarios(encoded)
        bounded: dict[tuple[object, ...], Shift] = {}
        for scenario in scenarios.scenarios:
            for shift in scenario.shifts:
                if shift.is_narrow and shift.has_strikes:
                    bounded.setdefault(shift.aim, shift)
        names = tuple(scenario.name for scenario in scenarios.scenarios)
        return KeptScenarios(scenarios, names, tuple(bounded.values())), BYTES_PER_ENCODED_BYTE * len(encoded)

    return KEPT.get(("scenarios", digest), make)


def check_fit(market_digest: str, market: KeptMarket, scenarios_digest: str, kept: KeptScenarios) -> None:
    """
    Refuses scenarios that mean nothing in the market.

    Raises:
        RequestError: as `ScenarioMarket.check`.
    """

    def make() -> tuple[bool, int]:
        ScenarioMarket(market.snapshot).check(kept.scenarios)
        return True, BYTES_PER_KEPT_FACT

    place = market_digest if kept.bounded else market.definitions
    KEPT.get(("fit", scenarios_digest, place), make)


__all__ = [
    "KEPT", "Kept", "KeptMarket", "KeptScenarios", "check_fit", "market_of", "scenarios_of", "view_of",
]  # fmt: skip
