"""Scenario sets made on the desk's side: pure functions from data to a `ScenarioSet`, which is what a run is given.

    historical    returns of a time series of quotes, applied to today
    grids         every combination of some axes: spot x volatility
    packs         a named list of stresses, from lines of a table
    draws         Monte Carlo: correlated Sobol normals
    joined        several sets as one
    contents      what a set holds, and what it touches in a market

No files, no clock and no chance: the same arguments give the same bytes. `xipctl scenarios` and `xip_core.readers`
bring the files. Requests that cannot be meant are refused with a reason: BAD_HISTORY, BAD_GRID, BAD_PACK, BAD_FACTOR,
BAD_CORRELATION.
"""
