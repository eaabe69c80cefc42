# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""
Numbers of client portfolios over shared risk vectors: one row of numbers per client, in the order of
`xip_core.model.suitability.RULES`, which docs/suitability.md defines.

    assets   = cash + sum of quantity * pv
    pnl[s]   = sum over positions of quantity * pnl[instrument, s]         market scenarios and a stress pack
    volatility                 sqrt(sum (pnl - mean)^2 / (n - 1)) / assets / sqrt(h),  h years a scenario spans
    value_at_risk              -x / assets, x the P&L at one place among the sorted ones
    var_equivalent_volatility  (sqrt(zz - 2 ln(1 + x / assets)) - z) / sqrt(h), at least 0; z the normal quantile at the
                               VaR's confidence: 1.96 and zz 3.842 at 97.5 %
    stress_loss                -(lowest P&L of the stress pack) / assets;  stress_loss_of_net_worth: / net worth
    issuer, sector, currency   largest |sum of exposure| under one code / assets; codes below 0 are not counted
    large_issuers_share        sum of the issuers above a share
    illiquid, beyond_horizon   sum |exposure| of such instruments / assets;  leverage: of all
    knowledge_gap              highest class held less the client's

Positions are added in their order with fma, scenarios in eight interleaved sums that are added pairwise, buckets in the
order of their first position; a P&L is selected, which rounds nothing. So the bytes of a client depend neither on its
neighbours nor on the CPU level. A client whose numbers would not mean anything has NaN in all of them and a status.

Source: of the volatility of a VaR, Commission Delegated Regulation (EU) 2017/653, Annex II, points 1 and 17;
selection by partition, C. A. R. Hoare, Algorithm 65: find, Communications of the ACM 4 (1961).
"""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from xip_core.kernels.elementary cimport NAN, fabs, fma_, log_, sqrt

import numpy as np

cdef enum:
    LANES = 8
    RULE_COUNT = 13
    OK = 0
    MISSING_INSTRUMENT = 1
    NO_ASSETS = 2
    NOT_FINITE = 3
    NOTHING_HELD = 4

cdef double KEPT_MIN = 1e-3             # of the assets: what is lost beyond 99.9 % makes no VaR-equivalent volatility

cdef struct Scratch:
    double* pnl                         # (market_count,)
    double* sorted_pnl                  # (market_count,), partly sorted
    double* stress                      # (stress_count,)
    double* bucket                      # (code_count,), zero between clients

cdef struct Vectors:                    # of instruments
    Py_ssize_t market_count
    Py_ssize_t stress_count
    const double* market                # (instruments, market_count)
    const double* stress                # (instruments, stress_count)
    const double* pv
    const double* exposure
    const double* maturity
    const int32_t* issuer
    const int32_t* sector
    const int32_t* currency
    const uint8_t* has_number
    const uint8_t* is_illiquid
    const uint8_t* knowledge

cdef struct Client:
    Py_ssize_t position_count
    const int32_t* instrument
    const double* quantity
    double cash
    double net_worth
    double horizon
    double knowledge

cdef struct Terms:                      # what is the same for all clients
    Py_ssize_t place
    double root_span
    double large_issuer_share
    double z
    double z_squared


# ---- loops -----------------------------------------------------------------------------------------------------------

cdef void add_positions(
        Client client, const double* vectors, Py_ssize_t count,
        double* total) noexcept nogil:                              # OUT (count,)
    cdef Py_ssize_t at = 0, s
    cdef const double *v0
    cdef const double *v1
    cdef const double *v2
    cdef const double *v3
    cdef double q0, q1, q2, q3
    memset(total, 0, count * sizeof(double))
    while at + 4 <= client.position_count:
        v0 = vectors + client.instrument[at] * count
        v1 = vectors + client.instrument[at + 1] * count
        v2 = vectors + client.instrument[at + 2] * count
        v3 = vectors + client.instrument[at + 3] * count
        q0, q1 = client.quantity[at], client.quantity[at + 1]
        q2, q3 = client.quantity[at + 2], client.quantity[at + 3]
        for s in range(count):
            total[s] = fma_(q3, v3[s], fma_(q2, v2[s], fma_(q1, v1[s], fma_(q0, v0[s], total[s]))))
        at += 4
    while at < client.position_count:
        v0 = vectors + client.instrument[at] * count
        q0 = client.quantity[at]
        for s in range(count):
            total[s] = fma_(q0, v0[s], total[s])
        at += 1


cdef inline double lanes_added(const double* lanes) noexcept nogil:
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))


cdef double mean_of(const double* values, Py_ssize_t count) noexcept nogil:
    cdef double lanes[LANES]
    cdef Py_ssize_t s = 0, lane
    for lane in range(LANES):
        lanes[lane] = 0.0
    while s + LANES <= count:
        for lane in range(LANES):
            lanes[lane] += values[s + lane]
        s += LANES
    for lane in range(count - s):
        lanes[lane] += values[s + lane]
    return lanes_added(lanes) / count


cdef double squares_about(const double* values, Py_ssize_t count, double mean) noexcept nogil:
    cdef double lanes[LANES]
    cdef double gap
    cdef Py_ssize_t s = 0, lane
    for lane in range(LANES):
        lanes[lane] = 0.0
    while s + LANES <= count:
        for lane in range(LANES):
            gap = values[s + lane] - mean
            lanes[lane] = fma_(gap, gap, lanes[lane])
        s += LANES
    for lane in range(count - s):
        gap = values[s + lane] - mean
        lanes[lane] = fma_(gap, gap, lanes[lane])
    return lanes_added(lanes)


cdef double selected(double* values, Py_ssize_t count, Py_ssize_t place) noexcept nogil:
    """The value at *place* of the ascending order; values are moved about. No NaN among them."""
    cdef Py_ssize_t first = 0, last = count - 1, i, j
    cdef double pivot, held
    while first < last:
        pivot = values[place]
        i, j = first, last
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                held = values[i]
                values[i] = values[j]
                values[j] = held
                i += 1
                j -= 1
        if j < place:
            first = i
        if place < i:
            last = j
    return values[place]


cdef double largest_bucket(
        Client client, const int32_t* code, const double* exposure, double large_from,
        double* bucket, double* large_sum) noexcept nogil:          # OUT sum of buckets above large_from
    cdef Py_ssize_t at
    cdef double size, largest = 0.0
    for at in range(client.position_count):
        if code[client.instrument[at]] >= 0:
            bucket[code[client.instrument[at]]] += client.quantity[at] * exposure[client.instrument[at]]
    large_sum[0] = 0.0
    for at in range(client.position_count):
        if code[client.instrument[at]] >= 0:
            size = fabs(bucket[code[client.instrument[at]]])
            bucket[code[client.instrument[at]]] = 0.0               # counted once, and clean for the next client
            largest = size if size > largest else largest
            large_sum[0] += size if size > large_from else 0.0
    return largest


cdef void holdings(Client client, Vectors vectors, double assets, double* numbers) noexcept nogil:
    """What needs no scenario and no bucket: illiquid share, leverage, beyond the horizon, knowledge."""
    cdef Py_ssize_t at, instrument
    cdef double size, gross = 0.0, illiquid = 0.0, beyond = 0.0, knowledge = 0.0
    for at in range(client.position_count):
        instrument = client.instrument[at]
        size = fabs(client.quantity[at] * vectors.exposure[instrument])
        gross += size
        illiquid += size if vectors.is_illiquid[instrument] else 0.0
        beyond += size if vectors.maturity[instrument] > client.horizon else 0.0
        if vectors.knowledge[instrument] > knowledge:
            knowledge = vectors.knowledge[instrument]
    numbers[9] = illiquid / assets
    numbers[10] = gross / assets
    numbers[11] = beyond / assets
    numbers[12] = knowledge - client.knowledge


cdef int32_t missing_instrument(Client client, Vectors vectors) noexcept nogil:
    """The first held instrument that has no number, or -1."""
    cdef Py_ssize_t at
    for at in range(client.position_count):
        if not vectors.has_number[client.instrument[at]]:
            return client.instrument[at]
    return -1


cdef uint8_t client_point(
        Client client, Vectors vectors, Terms terms, Scratch scratch,
        double* numbers) noexcept nogil:                            # OUT (RULE_COUNT,)
    cdef Py_ssize_t at, n = vectors.market_count
    cdef double assets = client.cash, mean, square, low, worst, kept, bend, ignored
    for at in range(client.position_count):
        assets = fma_(client.quantity[at], vectors.pv[client.instrument[at]], assets)
    if not assets > 0.0:
        return NO_ASSETS if assets == assets else NOT_FINITE
    add_positions(client, vectors.market, n, scratch.pnl)
    add_positions(client, vectors.stress, vectors.stress_count, scratch.stress)
    mean = mean_of(scratch.pnl, n)
    square = squares_about(scratch.pnl, n, mean)
    worst = mean_of(scratch.stress, vectors.stress_count)
    if not (square - square == 0.0 and worst - worst == 0.0 and assets - assets == 0.0):
        return NOT_FINITE
    memcpy(scratch.sorted_pnl, scratch.pnl, n * sizeof(double))
    low = selected(scratch.sorted_pnl, n, terms.place)
    worst = scratch.stress[0]
    for at in range(1, vectors.stress_count):
        worst = scratch.stress[at] if scratch.stress[at] < worst else worst
    kept = 1.0 + low / assets
    kept = kept if kept > KEPT_MIN else KEPT_MIN
    bend = terms.z_squared - 2.0 * log_(kept)
    bend = (sqrt(bend if bend > 0.0 else 0.0) - terms.z) / terms.root_span
    numbers[0] = sqrt(square / (n - 1)) / assets / terms.root_span
    numbers[1] = (0.0 - low) / assets
    numbers[2] = bend if bend > 0.0 else 0.0
    numbers[3] = (0.0 - worst) / assets
    numbers[4] = (0.0 - worst) / (client.net_worth if client.net_worth > 0.0 else assets)
    numbers[5] = largest_bucket(
        client, vectors.issuer, vectors.exposure, terms.large_issuer_share * assets, scratch.bucket, &numbers[6]
        ) / assets
    numbers[6] = numbers[6] / assets
    numbers[7] = largest_bucket(client, vectors.sector, vectors.exposure, 0.0, scratch.bucket, &ignored) / assets
    numbers[8] = largest_bucket(client, vectors.currency, vectors.exposure, 0.0, scratch.bucket, &ignored) / assets
    holdings(client, vectors, assets, numbers)
    for at in range(RULE_COUNT):
        if not numbers[at] - numbers[at] == 0.0:
            return NOT_FINITE
    return OK


# ---- doors -----------------------------------------------------------------------------------------------------------

def check_finite(name, values):
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite where has_number is set")


cdef class Instruments:
    """
    Checked risk vectors and codes of N instruments, per unit held; used by any number of `numbers` calls at once.

    Args:
        market, stress: P&Ls in base currency, float64 (N, n) with n >= 2 and (N, m) with m >= 1.
        pv, exposure: float64 (N,), base currency; exposure is signed.
        maturity: float64 (N,), years; infinite or NaN where there is none: beyond any horizon, or within each.
        issuer, sector, currency: int32 (N,), codes from 0, -1 where it does not count.
        has_number, is_illiquid, knowledge: uint8 (N,). Numbers of an instrument without one are never read.

    Raises:
        ValueError: a length is wrong, or the number of an instrument that has one is not finite.
    """
    cdef const double[:, ::1] market, stress
    cdef const double[::1] pv, exposure, maturity
    cdef const int32_t[::1] issuer, sector, currency
    cdef const uint8_t[::1] has_number, is_illiquid, knowledge
    cdef Vectors vectors
    cdef Py_ssize_t count, code_count

    def __init__(
            self, const double[:, ::1] market, const double[:, ::1] stress, const double[::1] pv,
            const double[::1] exposure, const double[::1] maturity, const int32_t[::1] issuer,
            const int32_t[::1] sector, const int32_t[::1] currency, const uint8_t[::1] has_number,
            const uint8_t[::1] is_illiquid, const uint8_t[::1] knowledge):
        cdef Py_ssize_t count = pv.shape[0]
        lengths = {
            market.shape[0], stress.shape[0], exposure.shape[0], maturity.shape[0], issuer.shape[0], sector.shape[0],
            currency.shape[0], has_number.shape[0], is_illiquid.shape[0], knowledge.shape[0]}
        if lengths != {count} or not count:
            raise ValueError(f"columns must all have the {count} instruments of pv, at least 1, got {sorted(lengths)}")
        if market.shape[1] < 2 or stress.shape[1] < 1:
            raise ValueError(
                f"at least 2 market and 1 stress scenarios are needed, got {market.shape[1]} and {stress.shape[1]}")
        told = np.asarray(has_number) != 0
        check_finite("market", np.asarray(market)[told])
        check_finite("stress", np.asarray(stress)[told])
        check_finite("pv", np.asarray(pv)[told])
        check_finite("exposure", np.asarray(exposure)[told])
        self.market, self.stress, self.pv, self.exposure, self.maturity = market, stress, pv, exposure, maturity
        self.issuer, self.sector, self.currency = issuer, sector, currency
        self.has_number, self.is_illiquid, self.knowledge = has_number, is_illiquid, knowledge
        self.count = count
        self.code_count = 1 + max(0, int(np.max(issuer)), int(np.max(sector)), int(np.max(currency)))
        self.vectors = Vectors(
            market_count=market.shape[1], stress_count=stress.shape[1], market=&market[0, 0], stress=&stress[0, 0],
            pv=&pv[0], exposure=&exposure[0], maturity=&maturity[0], issuer=&issuer[0], sector=&sector[0],
            currency=&currency[0], has_number=&has_number[0], is_illiquid=&is_illiquid[0], knowledge=&knowledge[0])


def numbers(
        Instruments instruments not None, const int64_t[::1] begin, const int32_t[::1] instrument,
        const double[::1] quantity, const double[::1] cash, const double[::1] net_worth, const double[::1] horizon,
        const uint8_t[::1] knowledge, Py_ssize_t place, double span_years, double large_issuer_share,
        double z, double z_squared):
    """
    The numbers of C clients; the head of this file defines them.

    Args:
        begin: int64 (C + 1,): positions of client c are begin[c] to begin[c + 1], from 0.
        instrument, quantity: int32 and float64 (P,); units held, negative if short.
        cash, net_worth: float64 (C,), base currency; a net worth of 0 was not told and is the assets.
        horizon: float64 (C,), years. knowledge: uint8 (C,), the client's class.
        place: of the P&L taken among the ascending ones, from 0. span_years: of a scenario, > 0.
        large_issuer_share: from which an issuer counts into large_issuers_share.
        z, z_squared: of the VaR's confidence, for the volatility that has this VaR.

    Returns:
        (float64 (C, 13), NaN where the status is not 0; uint8 (C,) status, a `model.suitability.ClientStatus`; int32
        (C,) the held instrument without a number, or -1).

    Raises:
        ValueError: a length, an offset or an instrument is out of range, place or span_years outside its domain.
        MemoryError.
    """
    cdef Py_ssize_t count = cash.shape[0], c, at, rule, market_count = instruments.vectors.market_count
    cdef Vectors vectors = instruments.vectors
    cdef Scratch scratch
    cdef Client client
    cdef Terms terms = Terms(
        place=place, root_span=sqrt(span_years), large_issuer_share=large_issuer_share, z=z, z_squared=z_squared)
    if begin.shape[0] != count + 1 or begin[0] != 0 or begin[count] != instrument.shape[0]:
        raise ValueError(f"begin must run from 0 to the {instrument.shape[0]} positions, for {count} clients")
    if not count == net_worth.shape[0] == horizon.shape[0] == knowledge.shape[0]:
        raise ValueError(f"net_worth, horizon and knowledge must have the {count} clients of cash")
    if quantity.shape[0] != instrument.shape[0]:
        raise ValueError(f"quantity must have the {instrument.shape[0]} positions of instrument")
    if not (0 <= place < market_count and span_years > 0.0):
        raise ValueError(f"place must lie in [0, {market_count}) and span_years above 0, got {place} and {span_years}")
    for c in range(count):
        if begin[c] > begin[c + 1]:
            raise ValueError(f"begin must not decrease, it does after client {c}")
    for at in range(instrument.shape[0]):
        if not 0 <= instrument[at] < instruments.count:
            raise ValueError(f"instrument must lie in [0, {instruments.count}), got {instrument[at]} at {at}")
    found, status, missing = np.empty((count, RULE_COUNT)), np.zeros(count, np.uint8), np.full(count, -1, np.int32)
    cdef double[:, ::1] row = found
    cdef uint8_t[::1] state = status
    cdef int32_t[::1] without = missing
    if not count:
        return found, status, missing
    cdef Py_ssize_t size = 2 * market_count + vectors.stress_count + instruments.code_count
    cdef double* memory = <double*> malloc(size * sizeof(double))
    if memory == NULL:
        raise MemoryError
    scratch.pnl, scratch.sorted_pnl = memory, memory + market_count
    scratch.stress = memory + 2 * market_count
    scratch.bucket = scratch.stress + vectors.stress_count
    with nogil:
        memset(scratch.bucket, 0, instruments.code_count * sizeof(double))
        for c in range(count):
            client.position_count = begin[c + 1] - begin[c]
            client.instrument = &instrument[0] + begin[c] if client.position_count else NULL
            client.quantity = &quantity[0] + begin[c] if client.position_count else NULL
            client.cash, client.net_worth, client.horizon = cash[c], net_worth[c], horizon[c]
            client.knowledge = knowledge[c]
            without[c] = missing_instrument(client, vectors)
            if without[c] >= 0:
                state[c] = MISSING_INSTRUMENT
            elif not client.position_count:
                state[c] = NOTHING_HELD
            else:
                state[c] = client_point(client, vectors, terms, scratch, &row[c, 0])
            if state[c] != OK:
                for rule in range(RULE_COUNT):
                    row[c, rule] = NAN
    free(memory)
    return found, status, missing
