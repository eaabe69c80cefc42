"""The row program: what trades become when they are resolved, and what value tiles evaluate.

A **point** is a list of (factor, weight) pairs: the logarithm of a discount factor, a survival probability, an FX rate
or an equity forward on one day, a commodity forward, a volatility. A **term** is built on points::

    amount * (constant + linear points . market) * exp(exponent points . market)

and a **term list** is a run of terms per item. Every product is a row of four optional parts, added up::

    value(row) = sum of the row's terms                                             fixed and projected cash flows
               + sum of its quotients  N D (F - K) tau / (1 + F tau)                FRAs, settled in advance
               + sum of its chains     amount * discount * X, interest compounded over several periods
               + sum of its options    amount * discount * E[(+-(forward - K))+]    Black or Bachelier
               + sum of its defaults   amount * protection + growth * accrual       CDS, ISDA standard model

    forward  = a term list, divided by the option's discount where `is_ratio` (a swap rate is floating leg / annuity)
    discount = a term list (an annuity has one term a coupon)

A chain's X is built link by link from 0: X -> (alpha + beta G) X + gamma + delta G, where G = exp(growth) of the link
is the growth of its index period. This holds all methods of compounding; see resolve_structured.py.

All amounts are in base currency: the logarithm of the FX rate is among the exponent points. So the four programs
"terms", "option", "optionlet" and "swaption" are one; their names say which parts dominate, for cost and lineage.

Columns of a resolve tile of R rows, T terms, O options, Q quotients. A term list called X of n items is
`X_ptr` i4 (n + 1), `X_amount`, `X_constant` f8 (T), `X_exponent_ptr` i4 (T + 1), `X_exponent_factor` i4,
`X_exponent_weight` f8, and the same for `X_linear`::

    row_status u1 (R)             0 or the FailureReason of a row that cannot be resolved; such a row has no parts
    trade_ids, failures u1        JSON: list of ids; list of [row position, reason, message]
    object_names u1               JSON: market objects the rows need
    object_ptr, object_index i4   per row
    terms                         term list over rows; terms_delta_weight f8 (T): which terms carry the underlying
    spot_ptr, _factor, _weight    per row, log of the base-currency value of a unit of the row's own currency
    quotient_row i4 (Q), quotient_notional, quotient_strike, quotient_accrual, quotient_index_accrual f8 (Q)
    quotient_discount_.., quotient_growth_..  per quotient, logs of D and of growth = 1 + F * index_accrual
    chain_ptr i4 (R + 1)          chains of a row; chain_amount f8 (H), chain_discount_.. log of each one's discount
    link_ptr i4 (H + 1)           links of a chain; link_alpha, _beta, _gamma, _delta f8, link_growth_.. log of its G
    bermudan_row i4, ..           rights on several days; see program_bermudan.py
    option_ptr i4 (R + 1)         options of a row
    option_amount, option_strike, option_time, option_is_call, option_delta_weight f8 (O)
    option_kind u1 (O)            bits: 1 normal volatility, 2 volatility is given as total variance, 4 is_ratio
    forward, discount             term lists over options
    volatility_ptr, _factor, _weight   per option
    cash_option i4 (C), cash_ptr i4 (C + 1), cash_amount, cash_weight f8, cash_factor i4
                                  options settled on the par-yield annuity: sum of amount * exp(weight * log(1 + F))
    cash_discount_ptr, ..         per such option, the exponent in front of that sum
    smile_option i4, ..           slices of the smiles of options that have one (pricing.smile_values)
    cubic_option i4, ..           options between rows of a surface that cubics join (pricing.cubic_volatilities)
    average_option i4 (A), average_ptr i4 (A + 1)
                                  options on an average (pricing.averages) and their prices to come
    average_weight, average_time f8; average_forward_ptr, ..; average_variance_ptr, ..
                                  per price: its weight and years, its forward and its total variance (linear points)

and, where a row of the tile has defaults, those of program_defaults.

Sizes: a ten-year swap is 60 terms, 5 kB; a tile of 100 of them 500 kB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.pricing.cubic_volatilities import CubicItem
from xip_core.pricing.layout import RefArrays, SmileRef
from xip_core.pricing.program_bermudan import BermudanItem, bermudan_columns
from xip_core.pricing.program_defaults import DefaultItem, default_columns
from xip_core.pricing.program_rare import chain_columns, rare_option_columns
from xip_core.pricing.tile import Columns

KIND_NORMAL = 1
KIND_TOTAL_VARIANCE = 2
KIND_RATIO = 4

Uses = tuple[int, ...]
"""Points of a term: 2 * point added, 2 * point + 1 subtracted."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


class Sparse(msgspec.Struct, frozen=True):
    """Rows of (factor, weight) pairs: row i has positions ptr[i] to ptr[i + 1]."""

    ptr: Ints
    factor: Ints
    weight: Floats


class TermList(msgspec.Struct, frozen=True):
    """Arrays of a term list; the names are those of the columns."""

    ptr: Ints
    amount: Floats
    constant: Floats
    exponent: Sparse
    linear: Sparse


def term_list_of(columns: Columns, name: str) -> TermList:
    """The term list called *name* in the columns of a resolve tile."""
    return TermList(
        ptr=columns[f"{name}_ptr"],
        amount=columns[f"{name}_amount"],
        constant=columns[f"{name}_constant"],
        exponent=sparse_of(columns, f"{name}_exponent"),
        linear=sparse_of(columns, f"{name}_linear"),
    )


def sparse_of(columns: Columns, name: str) -> Sparse:
    """The sparse rows called *name* in the columns of a resolve tile."""
    return Sparse(columns[f"{name}_ptr"], columns[f"{name}_factor"], columns[f"{name}_weight"])


class PointArrays:
    """The points of one tile as arrays, once all of them are known.

    Attributes:
        begins: of each point among the pairs of factor and weight; one more than there are points.
    """

    def __init__(self, parts: list[tuple[npt.NDArray[np.int64], RefArrays]], count: int) -> None:
        """
        Args:
            parts: numbers of some points, and their refs; together each of *count* points once.
        """
        self._sizes = np.zeros(count, dtype=np.int64)
        for numbers, refs in parts:
            self._sizes[numbers] = refs.sizes
        self.begins = cumulated(self._sizes)
        self.factor = np.empty(self.begins[-1], dtype=np.int32)
        self.weight = np.empty(self.begins[-1], dtype=np.float64)
        for numbers, refs in parts:
            positions = np.repeat(self.begins[numbers], refs.sizes) + _counters(refs.sizes)
            self.factor[positions] = refs.factors
            self.weight[positions] = refs.weights

    def flatten(self, uses_per_row: list[Uses]) -> Sparse:
        """One sparse row per entry of *uses_per_row*: the points it uses, one after the other."""
        uses = np.fromiter(chain.from_iterable(uses_per_row), dtype=np.int64)
        use_counts = np.fromiter(map(len, uses_per_row), dtype=np.int64, count=len(uses_per_row))
        points = uses >> 1
        sizes = self._sizes[points]
        positions = np.repeat(self.begins[points], sizes) + _counters(sizes)
        signs = np.repeat(1.0 - 2.0 * (uses & 1), sizes)
        ptr = cumulated(sizes)[cumulated(use_counts)].astype(np.int32)
        return Sparse(ptr, self.factor[positions], self.weight[positions] * signs)


def cumulated(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Cumulated sizes with a 0 in front."""
    begins = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=begins[1:])
    return begins


def _counters(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0, 1, .. size - 1 for each size, concatenated."""
    begins = cumulated(sizes)
    return np.arange(begins[-1]) - np.repeat(begins[:-1], sizes)


class Term(msgspec.Struct, frozen=True):
    """One term before it is flattened; constant 1 and no linear points make it a plain discounted amount."""

    amount: float
    exponent: Uses = ()
    constant: float = 1.0
    linear: Uses = ()
    delta_weight: float = 0.0


class TermWriter:
    """Collects a term list item by item, as one list per column."""

    def __init__(self) -> None:
        self._amounts: list[float] = []
        self._constants: list[float] = []
        self._exponents: list[Uses] = []
        self._linears: list[Uses] = []
        self._delta_weights: list[float] = []
        self._ptr = [0]

    def add_item(self, terms: Sequence[Term], plain: Mapping[Uses, float] | None = None) -> None:
        """The next item has *plain* amounts by exponent and then *terms*, added in this order."""
        if plain:
            self._amounts.extend(plain.values())
            self._exponents.extend(plain)
            self._constants.extend([1.0] * len(plain))
            self._linears.extend([()] * len(plain))
            self._delta_weights.extend([0.0] * len(plain))
        for term in terms:
            self._amounts.append(term.amount)
            self._exponents.append(term.exponent)
            self._constants.append(term.constant)
            self._linears.append(term.linear)
            self._delta_weights.append(term.delta_weight)
        self._ptr.append(len(self._amounts))

    @property
    def item_count(self) -> int:
        return len(self._ptr) - 1

    def columns(self, name: str, points: PointArrays) -> Columns:
        """The columns of the term list called *name*."""
        columns: Columns = {
            f"{name}_ptr": np.array(self._ptr, dtype=np.int32),
            f"{name}_amount": np.array(self._amounts, dtype=np.float64),
            f"{name}_constant": np.array(self._constants, dtype=np.float64),
        }
        columns |= sparse_columns(f"{name}_exponent", points.flatten(self._exponents))
        columns |= sparse_columns(f"{name}_linear", points.flatten(self._linears))
        return columns

    def delta_weights(self) -> Floats:
        return np.array(self._delta_weights, dtype=np.float64)


def sparse_columns(name: str, sparse: Sparse) -> Columns:
    """The three columns of *sparse*."""
    return {f"{name}_ptr": sparse.ptr, f"{name}_factor": sparse.factor, f"{name}_weight": sparse.weight}


class CashCoupon(msgspec.Struct, frozen=True):
    """One coupon of a par-yield annuity: accrual / (1 + forward)^time_years."""

    accrual: float
    time_years: float


class Observation(msgspec.Struct, frozen=True):
    """One price of an average that is still to come; *forward* and *variance* (total variance) are linear points."""

    weight: float
    time_years: float
    forward: Uses
    variance: Uses


class OptionItem(msgspec.Struct, frozen=True):
    """One option of a row.

    Attributes:
        amount: signed notional, in units of what the forward prices.
        time_years: to expiry, >= 0.
        volatility: the one point that gives it, () where time is 0 and for options on an average.
        delta_weight: 1 where the forward is the trade's own underlying.
        cash, cash_discount: the par-yield annuity that replaces the discount in the price, as coupons and the exponent
            of its own discount factor; None elsewhere.
        smile: what gives the volatility instead of the point, whose factors say what it depends on; None elsewhere.
        average: prices to come of an option on an average; None elsewhere.
        cubic: likewise of an option between rows of a surface that a cubic joins in time; None elsewhere.
    """

    amount: float
    strike: float
    time_years: float
    is_call: bool
    kind: int
    forward: list[Term]
    discount: list[Term]
    volatility: Uses
    delta_weight: float = 0.0
    cash: list[CashCoupon] | None = None
    cash_discount: Uses = ()
    smile: SmileRef | None = None
    average: list[Observation] | None = None
    cubic: CubicItem | None = None


class QuotientItem(msgspec.Struct, frozen=True):
    """One FRA: notional * discount * (F - strike) * accrual / (1 + F * accrual), F = (growth - 1) / index_accrual."""

    notional: float
    strike: float
    accrual: float
    index_accrual: float
    discount: Uses
    growth: Uses


class Link(msgspec.Struct, frozen=True):
    """One period of a chain: X -> (alpha + beta G) X + gamma + delta G, with G = exp(growth)."""

    alpha: float
    beta: float
    gamma: float
    delta: float
    growth: Uses = ()


class ChainItem(msgspec.Struct, frozen=True):
    """Compounded interest: amount * exp(discount) * X after the last link, from X = 0."""

    amount: float
    discount: Uses
    links: tuple[Link, ...]


class RowParts(msgspec.Struct):
    """What one trade resolves to.

    Attributes:
        currency: of the trade's own PV.
        terms: by exponent points, so that cash flows of one day become one term.
        special: terms with a linear part or a delta weight.
    """

    currency: str = ""
    terms: dict[Uses, float] = msgspec.field(default_factory=dict)
    special: list[Term] = msgspec.field(default_factory=list)
    quotients: list[QuotientItem] = msgspec.field(default_factory=list)
    chains: list[ChainItem] = msgspec.field(default_factory=list)
    bermudans: list[BermudanItem] = msgspec.field(default_factory=list)
    options: list[OptionItem] = msgspec.field(default_factory=list)
    defaults: list[DefaultItem] = msgspec.field(default_factory=list)

    def pay(self, amount: float, exponent: Uses) -> None:
        """Add *amount*, discounted and converted by *exponent*."""
        self.terms[exponent] = self.terms.get(exponent, 0.0) + amount

    def all_terms(self) -> list[Term]:
        return [Term(amount, exponent) for exponent, amount in self.terms.items()] + self.special

    def uses(self) -> set[int]:
        """Every use of a point in the row."""
        uses = set(chain.from_iterable(self.terms))
        of_options = chain.from_iterable(chain(option.forward, option.discount) for option in self.options)
        for term in chain(self.special, of_options):
            uses.update(term.exponent, term.linear)
        for quotient in self.quotients:
            uses.update(quotient.discount, quotient.growth)
        for chain_item in self.chains:
            uses.update(chain_item.discount, *(link.growth for link in chain_item.links))
        for bermudan in self.bermudans:
            uses.update(bermudan.uses())
        for option in self.options:
            uses.update(option.volatility, option.cash_discount)
            for price in option.average or ():
                uses.update(price.forward, price.variance)
            if option.cubic is not None:
                uses.update(*option.cubic.points)
        for default in self.defaults:
            uses.update(default.begin, default.end)
        return uses


class ProgramWriter:
    """Collects the rows of a tile and writes its columns."""

    def __init__(self) -> None:
        self._terms = TermWriter()
        self._spots: list[Uses] = []
        self._quotients: list[tuple[int, QuotientItem]] = []
        self._chains: list[list[ChainItem]] = []
        self._bermudans: list[tuple[int, BermudanItem]] = []
        self._options: list[OptionItem] = []
        self._option_ptr = [0]
        self._defaults: list[list[DefaultItem]] = []

    def add_row(self, parts: RowParts, spot: Uses) -> None:
        """The next row; *spot* is log FX of its currency."""
        row = self._terms.item_count
        self._terms.add_item(parts.special, parts.terms)
        self._spots.append(spot)
        self._quotients.extend((row, quotient) for quotient in parts.quotients)
        self._chains.append(parts.chains)
        self._bermudans.extend((row, bermudan) for bermudan in parts.bermudans)
        self._options.extend(parts.options)
        self._option_ptr.append(len(self._options))
        self._defaults.append(parts.defaults)

    def columns(self, arrays: PointArrays) -> Columns:
        """All columns but those about status and names; *arrays* hold the points that the rows' uses mean."""
        columns = self._terms.columns("terms", arrays)
        columns["terms_delta_weight"] = self._terms.delta_weights()
        columns |= sparse_columns("spot", arrays.flatten(self._spots))
        columns |= self._quotient_columns(arrays)
        columns |= chain_columns(self._chains, arrays)
        columns |= bermudan_columns(self._bermudans, arrays)
        columns |= self._option_columns(arrays)
        columns |= default_columns(self._defaults, arrays)
        return columns

    def _quotient_columns(self, points: PointArrays) -> Columns:
        items = [item for _, item in self._quotients]
        discount = points.flatten([item.discount for item in items])
        growth = points.flatten([item.growth for item in items])
        columns: Columns = {
            "quotient_row": np.array([row for row, _ in self._quotients], dtype=np.int32),
            "quotient_notional": np.array([item.notional for item in items], dtype=np.float64),
            "quotient_strike": np.array([item.strike for item in items], dtype=np.float64),
            "quotient_accrual": np.array([item.accrual for item in items], dtype=np.float64),
            "quotient_index_accrual": np.array([item.index_accrual for item in items], dtype=np.float64),
        }
        columns |= sparse_columns("quotient_discount", discount)
        columns |= sparse_columns("quotient_growth", growth)
        return columns

    def _option_columns(self, points: PointArrays) -> Columns:
        options = self._options
        forward, discount = TermWriter(), TermWriter()
        for option in options:
            forward.add_item(option.forward)
            discount.add_item(option.discount)
        columns: Columns = {
            "option_ptr": np.array(self._option_ptr, dtype=np.int32),
            "option_amount": np.array([option.amount for option in options], dtype=np.float64),
            "option_strike": np.array([option.strike for option in options], dtype=np.float64),
            "option_time": np.array([option.time_years for option in options], dtype=np.float64),
            "option_is_call": np.array([float(option.is_call) for option in options], dtype=np.float64),
            "option_delta_weight": np.array([option.delta_weight for option in options], dtype=np.float64),
            "option_kind": np.array([option.kind for option in options], dtype=np.uint8),
        }
        columns |= forward.columns("forward", points)
        columns |= discount.columns("discount", points)
        columns |= sparse_columns("volatility", points.flatten([option.volatility for option in options]))
        return columns | rare_option_columns(list(enumerate(options)), points)


def check_program(columns: Columns) -> None:
    """Assert what evaluation relies on: pointers ascend and lists have the length their pointers say."""
    for name in [key for key in columns if key.endswith("_ptr")]:
        pointers = columns[name]
        assert pointers[0] == 0, name
        assert all(begin <= end for begin, end in pairwise(pointers.tolist())), name
