"""Risk numbers of P&L vectors: pure functions over arrays, no trade, no market, no clock.

    quantiles       which ranks of the sorted losses a VaR or ES is made of, by named rules; confidence of an order
                    statistic
    measures        VaR and ES of many groups at once, also with weighted scenarios; which scenarios lack rows
    contributions   component, marginal and incremental VaR and ES
    worst           the worst scenarios of a group, and who drives them
    delta_gamma     VaR of a quadratic P&L under normal factors: Cornish-Fisher, or simulated
    explain         the P&L between two snapshots: carry, delta, gamma, vega, and what is left
    hierarchy       leaf vectors to any keys
    suitability     client portfolios against the limits of their profiles

Words. A **P&L** is pv(scenario) - pv(base), shape (S,) of one group or (G, S) of many, in one currency; the base itself
is no scenario here, whoever has it in column 0 passes `pnl[:, 1:]`. A **loss** is -P&L. **Rank** r is the r-th smallest
loss, counted from 1, so rank S is the worst. *q* is the confidence, 0.99, never 0.01.

Determinism. Sums run left to right in an order that the data fixes: ranks from the smallest loss up, scenarios by
number, children in the order given. No BLAS, whose order is the machine's. So the bytes of a result do not depend on
how many groups are asked for together, nor on the CPU.

Refusals are `ArgumentError`s with a reason: TOO_FEW_SCENARIOS says how many it takes, BAD_QUANTILE, BAD_PNL,
BAD_COVARIANCE, BAD_SHAPE. A quantile the scenarios do not reach is refused, not extrapolated.
"""
