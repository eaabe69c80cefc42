"""Clients judged: numbers over shared risk vectors, verdicts against the limits of profiles.

The numbers come from a compiled kernel (`kernels.suitability`), 5 microseconds a client; `reference_numbers` says the
same in NumPy, for tests and for reading. Verdicts are comparisons, so they are NumPy alone.

Memory: clients are judged CLIENTS_PER_BLOCK at a time; what all share is the vectors, 8 bytes an instrument and
scenario.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import ArgumentError
from xip_core.kernels import suitability as kernel
from xip_core.model.clients import ClientTable
from xip_core.model.suitability import RULES, ClientStatus, InstrumentTerms, ProfileTable, Verdict
from xip_core.risk.measures import Floats
from xip_core.risk.quantiles import quantile_ranks

Codes = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

CLIENTS_PER_BLOCK = 512
"""Clients between two looks at the cancellation, some 3 ms."""

NO_RULE = 255
DAYS_PER_YEAR = 365.25

_KEPT_MIN = 1e-3

REGULATION_CONFIDENCE = 0.975
_REGULATION_Z = (1.96, 3.842)
"""The normal quantile at 97.5 % and its square, as Delegated Regulation (EU) 2017/653 rounds them."""


class InstrumentVectors(msgspec.Struct, frozen=True):
    """Risk vectors and codes of N instruments, per unit held, base currency.

    Attributes:
        market, stress: P&Ls, float64 (N, n) and (N, m).
        pv, exposure: float64 (N,). maturity: years, float64 (N,), NaN where there is none.
        issuer, sector, currency: int32 (N,) codes, -1 where it does not count.
        has_number, is_illiquid, knowledge: uint8 (N,).
    """

    market: Floats
    stress: Floats
    pv: Floats
    exposure: Floats
    maturity: Floats
    issuer: Codes
    sector: Codes
    currency: Codes
    has_number: Bytes
    is_illiquid: Bytes
    knowledge: Bytes


class Parameters(msgspec.Struct, frozen=True):
    """What is the same for all clients.

    Attributes:
        place: of the P&L that is the VaR's, among the ascending ones, from 0.
        span_years: of a scenario.
        large_issuer_share: from which an issuer counts into large_issuers_share.
        z, z_squared: normal quantile at the VaR's confidence.
    """

    place: int
    span_years: float
    large_issuer_share: float
    z: float = _REGULATION_Z[0]
    z_squared: float = _REGULATION_Z[1]


class Judged(msgspec.Struct, frozen=True):
    """C clients judged.

    Attributes:
        numbers: float64 (C, RULES), NaN where *status* is not 0.
        status: uint8 (C,), a ClientStatus. missing: int32 (C,), the instrument without a number, or -1.
        verdict: uint8 (C,), a Verdict.
        binding: uint8 (C,), the rule that decided: of those with the worst verdict the one nearest to or furthest
            beyond its limit; NO_RULE where there are no numbers.
    """

    numbers: Floats
    status: Bytes
    missing: Codes
    verdict: Bytes
    binding: Bytes


def instrument_vectors(
    terms: Sequence[InstrumentTerms],
    pv: Floats,
    market: Floats,
    stress: Floats,
    has_number: npt.NDArray[np.bool_],
    as_of: dt.date,
    base_currency: str,
) -> InstrumentVectors:
    """
    What the rules need of instruments, from their terms and their risk vectors.

    Args:
        pv: (N,). market, stress: P&Ls (N, n) and (N, m), anything where *has_number* (N,) is false.

    Raises:
        ArgumentError: BAD_SHAPE.
    """
    if not len(terms) == len(pv) == len(market) == len(stress) == len(has_number):
        got = f"{len(pv)}, {len(market)}, {len(stress)} and {len(has_number)}"
        raise ArgumentError("BAD_SHAPE", f"pv, market, stress and has_number must have {len(terms)} rows, got {got}")
    given = np.array([math.nan if item.exposure is None else item.exposure for item in terms])
    years = [math.nan if item.maturity is None else (item.maturity - as_of).days / DAYS_PER_YEAR for item in terms]
    return InstrumentVectors(
        market=np.ascontiguousarray(market, np.float64),
        stress=np.ascontiguousarray(stress, np.float64),
        pv=np.ascontiguousarray(pv, np.float64),
        exposure=np.where(np.isnan(given), pv, given),
        maturity=np.array(years),
        issuer=_codes([item.issuer for item in terms]),
        sector=_codes([item.sector for item in terms]),
        currency=_codes(["" if item.currency == base_currency else item.currency for item in terms]),
        has_number=has_number.astype(np.uint8),
        is_illiquid=np.array([item.is_illiquid for item in terms], np.uint8),
        knowledge=np.array([item.knowledge_class for item in terms], np.uint8),
    )


def parameters(profiles: ProfileTable, market_count: int, span_years: float) -> Parameters:
    """
    Raises:
        ArgumentError: TOO_FEW_SCENARIOS for the table's confidence; BAD_SPAN.
    """
    if not (math.isfinite(span_years) and span_years > 0.0):
        raise ArgumentError("BAD_SPAN", f"a scenario must span more than 0 years, got {span_years}")
    rank = quantile_ranks(market_count, profiles.confidence).first_rank
    z = round(NormalDist().inv_cdf(profiles.confidence), 12)  # the last bits depend on the machine's logarithm
    pair = _REGULATION_Z if profiles.confidence == REGULATION_CONFIDENCE else (z, z * z)
    return Parameters(market_count - rank, span_years, profiles.large_issuer_share, *pair)


def compiled(vectors: InstrumentVectors) -> kernel.Instruments:
    """Checked once, for any number of `judge_clients`, also at once."""
    return kernel.Instruments(**{name: getattr(vectors, name) for name in vectors.__struct_fields__})


def judge_clients(
    instruments: kernel.Instruments,
    clients: ClientTable,
    begin: int,
    end: int,
    profiles: ProfileTable,
    given: Parameters,
    between: Callable[[], None] = lambda: None,
) -> Judged:
    """
    Judge clients [begin, end) of a table.

    Args:
        between: called before each block of clients; may raise to stop.

    Raises:
        ValueError: an instrument is out of range; see `model.clients.check_references`.
    """
    blocks = []
    for first in range(begin, end, CLIENTS_PER_BLOCK):
        between()
        blocks.append(_numbers(instruments, clients, first, min(first + CLIENTS_PER_BLOCK, end), given))
    numbers, status, missing = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    verdict, binding = verdicts(numbers, status, clients.profile[begin:end], profiles)
    return Judged(numbers, status, missing, verdict, binding)


def verdicts(numbers: Floats, status: Bytes, profile: Bytes, profiles: ProfileTable) -> tuple[Bytes, Bytes]:
    """
    Verdict and binding rule of each client; uint8 (C,) each. A client without numbers is REVIEW.

    Args:
        numbers: float64 (C, RULES). profile: uint8 (C,), numbers of *profiles*.
    """
    limit, review = limit_table(profiles)
    limits, reviews = limit[profile], review[profile]
    with np.errstate(invalid="ignore"):
        of_rule = (numbers > reviews).astype(np.uint8) + (numbers > limits)
        margin = (limits - numbers) / np.where(limits > 0.0, limits, 1.0)
    verdict = of_rule.max(axis=1)
    candidate = np.where((of_rule == verdict[:, None]) & ~np.isnan(margin), margin, np.inf)
    binding = candidate.argmin(axis=1).astype(np.uint8)
    is_told = status == ClientStatus.OK
    return (
        np.where(is_told, verdict, np.uint8(Verdict.REVIEW)).astype(np.uint8),
        np.where(is_told, binding, np.uint8(NO_RULE)).astype(np.uint8),
    )


def limit_table(profiles: ProfileTable) -> tuple[Floats, Floats]:
    """Limits and review thresholds, float64 (profiles, RULES); NaN where a profile has none."""
    limit = np.full((len(profiles.profiles), len(RULES)), math.nan)
    review = limit.copy()
    for row, profile in enumerate(profiles.profiles):
        for column, rule in enumerate(RULES):
            given = profile.limits[rule]
            if given is not None:
                limit[row, column] = given.limit
                review[row, column] = given.limit if given.review is None else given.review
    return limit, review


def reference_numbers(
    vectors: InstrumentVectors, clients: ClientTable, client: int, given: Parameters
) -> tuple[list[float], ClientStatus, int]:
    """The numbers of one client as docs/suitability.md writes them: (numbers, status, missing instrument)."""
    nothing = [math.nan] * len(RULES)
    own = slice(int(clients.begin[client]), int(clients.begin[client + 1]))
    held, quantity = clients.instrument[own].astype(int), clients.quantity[own]
    missing = [int(at) for at in held if not vectors.has_number[at]]
    if missing:
        return nothing, ClientStatus.MISSING_INSTRUMENT, missing[0]
    if not len(held):
        return nothing, ClientStatus.NOTHING_HELD, -1
    assets = float(clients.cash[client] + quantity @ vectors.pv[held])
    if not assets > 0.0:
        return nothing, ClientStatus.NO_ASSETS, -1
    pnl, stress = quantity @ vectors.market[held], quantity @ vectors.stress[held]
    exposure = quantity * vectors.exposure[held]
    low, root = float(np.sort(pnl)[given.place]), math.sqrt(given.span_years)
    bent = math.sqrt(max(0.0, given.z_squared - 2.0 * math.log(max(_KEPT_MIN, 1.0 + low / assets)))) - given.z
    worst, net_worth = -float(stress.min()), float(clients.net_worth[client])
    issuers = _shares(vectors.issuer[held], exposure, assets)
    numbers = [
        float(pnl.std(ddof=1)) / assets / root,
        -low / assets,
        max(0.0, bent / root),
        worst / assets,
        worst / (net_worth if net_worth > 0.0 else assets),
        max(issuers, default=0.0),
        sum(share for share in issuers if share > given.large_issuer_share),
        max(_shares(vectors.sector[held], exposure, assets), default=0.0),
        max(_shares(vectors.currency[held], exposure, assets), default=0.0),
        float(abs(exposure)[vectors.is_illiquid[held] != 0].sum()) / assets,
        float(abs(exposure).sum()) / assets,
        float(abs(exposure)[vectors.maturity[held] > clients.horizon_years[client]].sum()) / assets,
        float(vectors.knowledge[held].max()) - float(clients.knowledge[client]),
    ]
    return (
        (numbers, ClientStatus.OK, -1) if all(map(math.isfinite, numbers)) else (nothing, ClientStatus.NOT_FINITE, -1)
    )


def _shares(codes: Codes, exposure: Floats, assets: float) -> list[float]:
    """|sum of exposure| / assets of each code that counts."""
    return [abs(float(exposure[codes == code].sum())) / assets for code in dict.fromkeys(codes.tolist()) if code >= 0]


def _numbers(
    instruments: kernel.Instruments, clients: ClientTable, begin: int, end: int, given: Parameters
) -> tuple[Floats, Bytes, Codes]:
    first, last = int(clients.begin[begin]), int(clients.begin[end])
    return kernel.numbers(
        instruments,
        clients.begin[begin : end + 1] - first,
        clients.instrument[first:last].astype(np.int32),
        clients.quantity[first:last].astype(np.float64),  # a copy: columns of a blob begin at any byte
        clients.cash[begin:end].astype(np.float64),
        clients.net_worth[begin:end].astype(np.float64),
        clients.horizon_years[begin:end].astype(np.float64),
        clients.knowledge[begin:end].copy(),
        given.place,
        given.span_years,
        given.large_issuer_share,
        given.z,
        given.z_squared,
    )


def _codes(names: list[str]) -> Codes:
    """Numbers of names in the order of their first use, -1 for ""."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) if name else -1 for name in names], np.int32)
