"""Sensitivities as data: which bumps of one market, and which combinations of the values under them.

A **ladder** asks for sensitivities of one kind to the objects whose name matches, bucket by bucket. Expanded against a
snapshot (`expand`) it becomes

    bumps            what is moved: risk class, object, bucket, unit, size
    columns          markets to value a book under: each is the base with some bumps applied, up or down; column 0
                     is the base
    sensitivities    numbers to report: a weighted sum of the P&Ls of some columns, per unit

Nothing here prices or calibrates: planners count columns from it, `pricing.bumps` makes the columns, and a sum over
trades commutes with the weighted sum over columns, so partial sums of P&L per column are all a reduction needs.

What moves, and what stands still::

    zero_rate        the continuous zero rate (Act/365F) of a curve; of a zero-spread curve its spread. All other
                     factors stand still: survival probabilities, volatilities, dividend yields, spots.  bp
    par_rate         the quotes (rates, spreads) a curve is built from; every other quote stands still and everything
                     is calibrated again.                                                                 bp
    hazard_rate      the average hazard rate up to a day, -ln(survival) / t; factors stand still.         bp
    par_credit       the CDS quotes a hazard curve is built from; quotes stand still.                     bp
    inflation        zero-coupon and year-on-year swap rates; quotes stand still.                         bp
    security_spread  the spread a security's flows are discounted by beside its reference curve.          bp
    fx_points        FX forward points a curve is built from; every other quote stands still.             point
    vega             quoted volatilities (of smiles by delta those at the money); quotes stand still.
                     vol_point where they are lognormal, bp where they are normal, or percent of the volatility
    fx               the base-currency value of one unit of a currency; interest rates stand still.       percent
    equity           the spot; dividend yields stand still.                                               percent
    commodity        spot and forward prices; all of them with bucket "parallel".                         percent

Buckets. Without `tenors` each quote is a bucket of its own (zero_rate and hazard_rate have vertices instead). With
them a bucket is a tent: 1 at its tenor, 0 at its neighbours, linear in time between, flat before the first and after
the last, so that all buckets together are a parallel shift. `("parallel",)` is one bucket for everything.

Numbers are per one unit: (PV(+h) - PV(-h)) / 2h for "central", (PV(+h) - PV) / h for "forward", h the bump in units;
gamma is (PV(+h) - 2 PV + PV(-h)) / h^2; cross gamma (PV(+,+) - PV(+,0) - PV(0,+) + PV) / h1 h2 for "forward", and for
"central" the mean of that and its mirror image. A unit is a basis point (1e-4), a percent of the value (0.01), a
volatility point (0.01), or a forward point as quoted (1).

Sources: ISDA, SIMM Methodology (v2.6), section 3, for the vertices; J. Hull, Options, Futures and Other Derivatives,
ch. 19, for the finite differences.
"""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from xip_core.errors import RequestError
from xip_core.model.market import Snapshot
from xip_core.model.market_instruments import Record
from xip_core.model.market_objects import MarketObject, QuoteUse, market_objects, maturity_years
from xip_core.model.sensitivity_head import SENSITIVITIES_TAG
from xip_core.model.sensitivity_kinds import (
    FACTOR_KINDS,
    OBJECT_KINDS,
    RISK_CLASSES,
    ROLES,
    UNIT_SIZES,
    UNITS,
    Kind,
    Scheme,
    Unit,
)
from xip_core.model.sensitivity_labels import axis_value, bucket_labels
from xip_core.model.unreadable import UNREADABLE, fault_of

COLUMN_COUNT_MAX = 20_000
"""Of one expansion: 600 curves of 30 pillars, up and down."""

VERTICES = ("2W", "1M", "3M", "6M", "1Y", "2Y", "3Y", "5Y", "10Y", "15Y", "20Y", "30Y")
CREDIT_VERTICES = ("1Y", "2Y", "3Y", "5Y", "10Y")
"""Of zero rates and of hazard rates where no tenors are given: those of ISDA SIMM."""

PARALLEL = "parallel"


class Ladder(Record, frozen=True, kw_only=True):
    """Sensitivities of one kind.

    Attributes:
        name: pattern with * and ? for the objects' names; with a slash in it for kind and name ("cap_volatility/*").
            FX spots are named by their currency.
        tenors: buckets, see the module's head.
        across: buckets of the second axis of volatilities: swap tenors ("5Y") or strikes ("0.03"), tents as well.
        unit: "" for the kind's own.
        bump: in units.
        is_gamma: also second differences, bucket by bucket.
        is_recalibrated: quotes are moved and everything is calibrated again, instead of moving factors by the quote
            sensitivities of the calibration. Gammas, volatilities and commodity prices always are.
    """

    kind: Kind
    name: str = "*"
    tenors: tuple[str, ...] = ()
    across: tuple[str, ...] = ()
    unit: Unit | Literal[""] = ""
    bump: float = 1.0
    scheme: Scheme = "central"
    is_gamma: bool = False
    is_recalibrated: bool = False


class CrossGamma(Record, frozen=True, kw_only=True):
    """Mixed second differences of pairs of bumps: every bump of the objects of one pattern with those of another.

    Patterns stand for kind of ladder and object's name, "zero_rate/EUR*"; both bumps must be of some ladder.
    """

    first: str
    second: str
    scheme: Scheme = "central"


class SensitivitySet(Record, frozen=True, kw_only=True, tag=SENSITIVITIES_TAG):
    """All that is asked of one run; stands in place of a scenario set, its columns in place of scenarios."""

    ladders: tuple[Ladder, ...] = ()
    cross_gammas: tuple[CrossGamma, ...] = ()


class Bump(msgspec.Struct, frozen=True):
    """One thing that is moved.

    Attributes:
        object: "curve/EUR1D".
        bucket: "5Y", "5Y/10Y" or "5Y/0.03" of volatilities, "spot", "parallel".
        size: the bump, in units.
        tenors, position: of a tent on factors; () moves all of the object alike.
        quotes: (name, share of the bump) of what is moved where quotes are; else ().
    """

    kind: Kind
    risk_class: str
    object: str
    bucket: str
    unit: Unit
    size: float
    tenors: tuple[str, ...] = ()
    position: int = 0
    quotes: tuple[tuple[str, float], ...] = ()

    @property
    def step(self) -> float:
        """The bump as a number: 1e-4 for one basis point."""
        return self.size * UNIT_SIZES[self.unit]


class Column(msgspec.Struct, frozen=True):
    """A market: the base with bumps applied, (number of the bump, +1 or -1) each.

    Attributes:
        is_recalibrated: its quotes are moved and everything is calibrated again; otherwise quote sensitivities may
            stand in for that, which is exact but for terms that second differences would see.
    """

    moves: tuple[tuple[int, int], ...]
    is_recalibrated: bool = False


class Sensitivity(msgspec.Struct, frozen=True):
    """One number to report.

    Attributes:
        bumps: the one it is to, or the two of a cross gamma.
        terms: (column, weight): its value is the sum of weight * (PV(column) - PV(base)).
    """

    measure: Literal["delta", "gamma", "cross_gamma"]
    bumps: tuple[int, ...]
    terms: tuple[tuple[int, float], ...]


class Expansion(msgspec.Struct, frozen=True):
    """What a set of sensitivities comes to in one market; see the module's head."""

    bumps: tuple[Bump, ...]
    columns: tuple[Column, ...]
    sensitivities: tuple[Sensitivity, ...]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(SensitivitySet, strict=True)


def encode_sensitivities(wanted: SensitivitySet) -> bytes:
    """Canonical bytes."""
    return _encoder.encode(wanted)


def decode_sensitivities(encoded: bytes) -> SensitivitySet:
    """Inverse of `encode_sensitivities`.

    Raises:
        RequestError: BAD_SENSITIVITY with the path to the fault.
    """
    try:
        return _decoder.decode(encoded)
    except UNREADABLE as error:
        raise RequestError("BAD_SENSITIVITY", f"sensitivities do not decode: {fault_of(encoded, error)}") from error


def column_names(expansion: Expansion) -> tuple[str, ...]:
    """A name for each column: "base", "curve/EUR1D 5Y +", of a corner both."""
    bumps = expansion.bumps
    return tuple(
        ", ".join(f"{bumps[at].object} {bumps[at].bucket} {'+' if sign > 0 else '-'}" for at, sign in column.moves)
        or "base"
        for column in expansion.columns
    )


def expand(wanted: SensitivitySet, snapshot: Snapshot) -> Expansion:
    """
    Bumps, columns and sensitivities, in the order of the ladders, objects and buckets.

    Raises:
        RequestError: BAD_SENSITIVITY where a ladder or pair names nothing in the market, buckets contradict each
            other, or a bump is no positive number; TOO_LARGE for more than `COLUMN_COUNT_MAX` columns.
    """
    return _Expander(snapshot).expand(wanted)


# ---- bumps ----------------------------------------------------------------------------------------------------------


class _Expander:
    """One expansion, step by step."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._objects = market_objects(snapshot)
        self._labels = bucket_labels(snapshot)
        self._normal = {f"swaption_volatility/{item.name}" for item in snapshot.swaption_volatilities if item.is_normal}
        self._normal |= {f"cap_volatility/{item.name}" for item in snapshot.cap_volatilities if item.is_normal}
        self._normal |= {cube.object_name for cube in snapshot.swaption_cubes}
        self._owners: dict[tuple[Kind, str], str] = {}  # a quote of two objects is moved once, with the first
        self._bumps: list[Bump] = []
        self._columns: dict[tuple[tuple[int, int], ...], Column] = {(): Column(())}
        self._numbers: dict[tuple[tuple[int, int], ...], int] = {(): 0}
        self._sensitivities: list[Sensitivity] = []

    def expand(self, wanted: SensitivitySet) -> Expansion:
        laddered: dict[tuple[str, str], int] = {}
        for number, ladder in enumerate(wanted.ladders):
            _check(ladder, number)
            found = self._objects_of(ladder)
            if not found:
                raise _bad(f"ladder {number}: {ladder.kind} {ladder.name!r} names nothing in the market")
            for item in found:
                other = laddered.setdefault((ladder.kind, item.name), number)
                if other != number:
                    raise _bad(
                        f"ladders {other} and {number} contradict each other: both have buckets for {ladder.kind} "
                        f"of {item.name}"
                    )
                first = len(self._bumps)
                self._add_bumps(ladder, number, item)
                self._add_differences(ladder, first)
        for pair in wanted.cross_gammas:
            self._add_cross_gammas(pair)
        if not self._bumps:
            raise _bad("sensitivities must ask for a ladder, got none")
        return Expansion(tuple(self._bumps), tuple(self._columns.values()), tuple(self._sensitivities))

    def _objects_of(self, ladder: Ladder) -> list[MarketObject]:
        kinds = OBJECT_KINDS[ladder.kind]
        found = []
        for item in self._objects.values():
            name = item.name if "/" in ladder.name else item.name.split("/", 1)[1]
            if item.kind not in kinds or not fnmatch.fnmatchcase(name, ladder.name):
                continue
            if ladder.kind in FACTOR_KINDS or any(_is_moved(ladder, use) for use in item.quotes):
                found.append(item)
        return found

    def _add_bumps(self, ladder: Ladder, number: int, item: MarketObject) -> None:
        unit = ladder.unit or ("bp" if item.name in self._normal else UNITS[ladder.kind][0])
        common = (ladder.kind, RISK_CLASSES[item.kind], item.name)
        if ladder.kind in ("fx", "equity"):
            buckets = [Bump(*common, "spot", unit, ladder.bump)]
        elif ladder.kind in FACTOR_KINDS:
            tenors = ladder.tenors or (CREDIT_VERTICES if ladder.kind == "hazard_rate" else VERTICES)
            self._ascending(tenors, f"ladder {number}")
            shape = () if tenors == (PARALLEL,) else tenors
            buckets = [Bump(*common, tenor, unit, ladder.bump, shape, at) for at, tenor in enumerate(tenors)]
        else:
            moved = self._moved_quotes(ladder, number, item)
            buckets = [Bump(*common, bucket, unit, ladder.bump, quotes=quotes) for bucket, quotes in moved]
        self._bumps.extend(buckets)

    def _moved_quotes(
        self, ladder: Ladder, number: int, item: MarketObject
    ) -> Iterator[tuple[str, tuple[tuple[str, float], ...]]]:
        """Buckets of quotes: (label, ((quote, share of the bump), ..))."""
        labels = self._labels.get(item.name, {})
        uses = {
            use.quote: use.maturity_years
            for use in item.quotes
            if _is_moved(ladder, use) and self._owners.setdefault((ladder.kind, use.quote), item.name) == item.name
        }
        if ladder.tenors == (PARALLEL,):
            yield PARALLEL, tuple((quote, 1.0) for quote in uses)
            return
        if not ladder.tenors and not ladder.across:
            for quote in uses:
                yield labels[quote].bucket if quote in labels else "spot", ((quote, 1.0),)
            return
        where = f"ladder {number}"
        down = self._ascending(ladder.tenors, where)
        across = _across_values(ladder.across, where)
        for row, tenor in enumerate(ladder.tenors or ("",)):
            for place, other in enumerate(ladder.across or ("",)):
                shares = []
                for quote, years in uses.items():
                    share = tent(down, row, years) if down else 1.0
                    if across:
                        share *= tent(across, place, labels[quote].across if quote in labels else 0.0)
                    if share != 0.0:
                        shares.append((quote, share))
                if shares:
                    yield "/".join(part for part in (tenor, other) if part), tuple(shares)

    def _ascending(self, tenors: Sequence[str], where: str) -> list[float]:
        """Years of tenors.

        Raises:
            RequestError: BAD_SENSITIVITY where they do not ascend, or one is no tenor.
        """
        if tenors == (PARALLEL,):
            return []
        try:
            years = [maturity_years(tenor, self._snapshot.as_of) for tenor in tenors]
        except RequestError as error:
            raise _bad(f"{where}: {error}") from None
        _check_ascending(years, tenors, where)
        return years

    # ---- differences ------------------------------------------------------------------------------------------------

    def _add_differences(self, ladder: Ladder, first: int) -> None:
        for number in range(first, len(self._bumps)):
            h = self._bumps[number].size
            is_recalibrated = ladder.is_recalibrated or ladder.is_gamma
            up = self._column(((number, 1),), is_recalibrated)
            if ladder.scheme == "central" or ladder.is_gamma:
                down = self._column(((number, -1),), is_recalibrated)
            if ladder.scheme == "central":
                terms: tuple[tuple[int, float], ...] = ((up, 0.5 / h), (down, -0.5 / h))
            else:
                terms = ((up, 1.0 / h),)
            self._sensitivities.append(Sensitivity("delta", (number,), terms))
            if ladder.is_gamma:
                terms = ((up, 1.0 / (h * h)), (down, 1.0 / (h * h)))
                self._sensitivities.append(Sensitivity("gamma", (number,), terms))

    def _add_cross_gammas(self, pair: CrossGamma) -> None:
        firsts, seconds = (self._bumps_of(pattern) for pattern in (pair.first, pair.second))
        for pattern, found in ((pair.first, firsts), (pair.second, seconds)):
            if not found:
                raise _bad(f"cross gamma {pattern!r} names no bump of any ladder")
        known = {item.bumps for item in self._sensitivities if item.measure == "cross_gamma"}
        for one in firsts:
            for other in seconds:
                i, j = min(one, other), max(one, other)
                if i == j or (i, j) in known:
                    continue
                known.add((i, j))
                self._add_cross(i, j, pair.scheme)

    def _add_cross(self, i: int, j: int, scheme: Scheme) -> None:
        signs = (1, -1) if scheme == "central" else (1,)
        weight = 1.0 / (len(signs) * self._bumps[i].size * self._bumps[j].size)
        terms: list[tuple[int, float]] = []
        for sign in signs:
            both = self._column(((i, sign), (j, sign)), is_recalibrated=True)
            alone = [self._column(((number, sign),), is_recalibrated=True) for number in (i, j)]
            terms += [(both, weight), (alone[0], -weight), (alone[1], -weight)]
        self._sensitivities.append(Sensitivity("cross_gamma", (i, j), tuple(terms)))

    def _bumps_of(self, pattern: str) -> list[int]:
        def name(bump: Bump) -> str:
            return f"{bump.kind}/{bump.object.split('/', 1)[1]}"

        return [at for at, bump in enumerate(self._bumps) if fnmatch.fnmatchcase(name(bump), pattern)]

    def _column(self, moves: tuple[tuple[int, int], ...], is_recalibrated: bool) -> int:
        """Number of the column with these moves."""
        known = self._columns.get(moves)
        if known is None or (is_recalibrated and not known.is_recalibrated):
            self._columns[moves] = Column(moves, is_recalibrated)
            self._numbers.setdefault(moves, len(self._columns) - 1)
            if len(self._columns) > COLUMN_COUNT_MAX:
                raise RequestError("TOO_LARGE", f"sensitivities must need at most {COLUMN_COUNT_MAX} columns")
        return self._numbers[moves]


def tent(centres: Sequence[float], position: int, at: float) -> float:
    """Height at *at* of the tent over one of some ascending centres; the first and last are flat outside."""
    centre = centres[position]
    if at < centre:
        if position == 0:
            return 1.0
        before = centres[position - 1]
        return max(0.0, (at - before) / (centre - before))
    if at > centre:
        if position == len(centres) - 1:
            return 1.0
        after = centres[position + 1]
        return max(0.0, (after - at) / (after - centre))
    return 1.0


def _is_moved(ladder: Ladder, use: QuoteUse) -> bool:
    return use.role in ROLES[ladder.kind]


# ---- checks ---------------------------------------------------------------------------------------------------------


def _bad(message: str) -> RequestError:
    return RequestError("BAD_SENSITIVITY", message)


def _check(ladder: Ladder, number: int) -> None:
    """What a ladder must be whatever the market."""
    where = f"ladder {number}"
    if ladder.unit and ladder.unit not in UNITS[ladder.kind]:
        raise _bad(f"{where}: {ladder.kind} must have unit {' or '.join(UNITS[ladder.kind])}, got {ladder.unit!r}")
    if not 0.0 < ladder.bump < float("inf"):
        raise _bad(f"{where}: bump must be a positive number of units, got {ladder.bump!r}")
    if (ladder.unit or UNITS[ladder.kind][0]) == "percent" and ladder.bump >= 100.0:
        raise _bad(f"{where}: bump must be below 100 percent, got {ladder.bump!r}")
    if ladder.kind in ("fx", "equity") and ladder.tenors:
        raise _bad(f"{where}: {ladder.kind} is one spot and has no tenors, got {list(ladder.tenors)}")
    if ladder.across and ladder.kind != "vega":
        raise _bad(f"{where}: only volatilities have buckets across, got {list(ladder.across)} for {ladder.kind}")
    if PARALLEL in ladder.tenors and (len(ladder.tenors) > 1 or ladder.across):
        raise _bad(f"{where}: {PARALLEL!r} must be the only bucket, got {[*ladder.tenors, *ladder.across]}")


def _check_ascending(values: Sequence[float], names: Sequence[str], where: str) -> None:
    for left, right in itertools.pairwise(range(len(values))):
        if values[left] >= values[right]:
            raise _bad(f"{where}: buckets must ascend, got {names[left]!r} before {names[right]!r}")


def _across_values(names: Sequence[str], where: str) -> list[float]:
    """Swap tenors as years, strikes as they are, ascending."""
    try:
        found = [axis_value(name) for name in names]
    except RequestError as error:
        raise _bad(f"{where}: {error}") from None
    _check_ascending(found, names, where)
    return found
