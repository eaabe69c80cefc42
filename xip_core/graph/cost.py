"""What a tile costs, declared: the shapes of tiles and the scheduler's first guess of their time.

Tile shapes must never follow from a measurement at run time: the same request would be cut differently on a busy day,
and the last bits of every sum would follow. So each group of rows (row program and asset class) declares a **cost
class**, seconds of one core of a v3 machine (AVX2, about 3 GHz), and everything below is arithmetic on it. The
scheduler's own averages only size leases.

Row blocks are shared by resolve and value tiles, scenario blocks by calibrate and value tiles (value tile (i, j) waits
for calibrate tile j), which leaves one shape to choose, rows x scenarios, by six wishes:

* **Early first result.** Values wait for one scenario block of calibrating, so a block is an eighth of the scenarios,
  32 of 251, 60 ms; and at least 32 because kernels run along scenarios: four AVX-512 registers hide their latency.
* **Overhead below 5 %.** Fetching inputs, encoding and recording a tile costs about 300 us of its worker whatever is in
  it, and as much of the one scheduler. So a value tile should take 6 ms together with its eighth of what resolving its
  rows takes, compiled 3 us for a forward and 14 us for a swap. Where other limits bind first, of cheap rows or of
  details that travel, overhead is larger, of less.
* **All cores busy on a small book.** A group is cut into at least four row blocks, as long as each is worth its tiles.
* **Little lost when a worker dies or a run is cancelled.** A resolve tile takes at most 250 ms, a value tile 30 ms,
  or what its single row takes (160 ms for a Bermudan swaption, which polls between exercises). Rows that are resolved
  in Python, legs that compound or reset, take fifty times what their group declares; they poll row by row.
* **Details travel together, where they travel.** The detail of a tile (8 bytes of number and 1 of status a cell, 36 a
  row) stays within 256 kB, so that several tiles of a lease share a message of 1 MiB. Where a run asks for no detail of
  its scenarios, what travels are sums by leaf group, 24 bytes a scenario each: at most 2 MiB, if as many of the run's
  groups as there are rows in the tile meet in it.
* **Memory, even for heavy rows.** Resolved rows are 0.2 kB (a forward) to 6.5 kB (a cap); they stay in the memos of
  workers, where a block of typical ones is at most 4 MiB, so that a memo of 256 MiB holds some even of rows ten times
  as heavy, thirty years quarterly and amortising. Where the book has work for 128 tiles that are twice or four times as
  large, blocks of 8 or 16 MiB, of the heaviest rows a memo then holds one: a scheduler's work shrinks by as much. There
  are these three sizes, none between, so that a book of a few trades more is cut alike and tiles of earlier runs can be
  taken over.
  A block of calibrated scenarios may travel, 8 bytes a factor, and stays within 768 kB for the failures beside it.

Worked sizes: 60,000 swaps over 500 scenarios without detail are 17 blocks of 3,728 rows, each resolved in 52 ms to
16 MiB and valued in eight tiles of 20 ms. With details a block is 428 rows, a value tile 2.3 ms and 256 kB. 742 swaps
and FRAs over 251 scenarios are one block of eight tiles. A book of 10^8 swaps over them is 124,000 row blocks with
details, a million value tiles, and its plan 800 MB of row numbers. 10,000 scenarios (a historical VaR) over 1,200
factors are 157 blocks of 64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from xip_core.kernels.declaration_records import RowWork

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SCENARIO_BLOCKS_WANTED = 8
SCENARIOS_PER_TILE_MIN = 32
SCENARIOS_PER_TILE_MAX = 256
ROW_BLOCKS_WANTED = 4
VALUE_TILE_S_WORTH = 6e-3
VALUE_TILES_WANTED = 128
RESOLVE_TILE_S_MAX = 250e-3
VALUE_TILE_S_MAX = 30e-3
RESOLVED_SIZE_BYTES = 4 << 20
RESOLVED_SIZE_BYTES_MAX = 16 << 20

CALIBRATED_SIZE_BYTES_MAX = 768 * 1024
CALIBRATED_BYTES_PER_FACTOR = 8
DETAIL_SIZE_BYTES_MAX = 256 * 1024
DETAIL_BYTES_PER_CELL = 9  # pv f8 and status u1
SUMS_SIZE_BYTES_MAX = 2 << 20
SUMS_BYTES_PER_CELL = 24  # pv and pnl f8, rows used and expected i4, of a leaf group under a scenario
DETAIL_BYTES_PER_ROW = 36  # row i4; pv_trade_currency, delta, vega, dv01 f8 on the base block (gamma, theta: 16 more)


class CostClass(msgspec.Struct, frozen=True):
    """Declared cost of a group: resolving a row, valuing a cell (a row under one scenario), size of a resolved row."""

    resolve_s_per_row: float
    value_s_per_cell: float
    resolved_bytes_per_row: int


_FORWARD = CostClass(resolve_s_per_row=3e-6, value_s_per_cell=6e-9, resolved_bytes_per_row=220)
"""Two terms: one look-up each, one exponential each."""

_OPTION = CostClass(resolve_s_per_row=4e-6, value_s_per_cell=60e-9, resolved_bytes_per_row=300)
"""Forward, discount factor, volatility; one price with its logarithm and two normal distributions."""

COST_CLASSES: dict[tuple[str, str], CostClass] = {
    ("terms", "commodity"): _FORWARD,
    ("terms", "equity"): _FORWARD,
    ("terms", "fx"): _FORWARD,
    ("terms", "credit"): CostClass(10e-6, 110e-9, 5500),  # 65 terms on two curves for a CDS of five years
    ("terms", "rates"): CostClass(14e-6, 85e-9, 4500),  # 50 terms a swap; a quarter of the resolving is reading it
    ("average", "commodity"): CostClass(1400e-6, 10e-6, 22000),  # 250 prices, each a forward and a variance
    ("bermudan", "rates"): CostClass(8e-3, 5e-3, 34000),  # six exercises of 200 terms; rolling back a grid of 301
    ("option", "commodity"): _OPTION,
    ("option", "equity"): _OPTION,
    ("option", "fx"): _OPTION,
    ("optionlet", "bonds"): CostClass(14e-6, 120e-9, 3800),  # as half a swap; few have caps or floors
    ("optionlet", "rates"): CostClass(12e-6, 1100e-9, 6500),  # 25 optionlets, each an option with its own volatility
    ("swaption", "rates"): CostClass(14e-6, 140e-9, 4700),  # the terms of a swap and one price
    ("swaption", "commodity"): CostClass(260e-6, 74e-9, 750),
}
"""By (row program, asset class)."""

CALIBRATE_S_PER_SCENARIO = 2e-3
"""Newton from the base solution and caplets stripped again, all scenarios of a tile together; a spot takes nothing."""

REDUCE_S_PER_TILE = 20e-6
"""Reading one block and adding four short vectors."""

REDUCED_CELLS_OF_ONE_TILE = 20_000
"""Leaf groups x scenarios that one tile reduces, 240 kB; more are cut by scenario blocks, so no core adds alone."""

REDUCED_CELLS_MAX = (3 << 20) // 12
"""Leaf groups x scenarios of a tile: pnl f8 and rows_used i4 of each in one message, beside its totals."""

SUMMED_ROW_BLOCKS = 32
"""Row blocks whose partial sums are added to one while the rest of the run is valued: reduce then reads a thirty-second
of the tiles, and sums mostly read what their own worker has made."""

AGGREGATE_S_PER_CELL = 20e-9
"""Adding leaf groups and selecting ranks, a cell being a leaf group under a scenario."""

MOMENTS_S_PER_FACTOR = 10e-6
MOMENTS_S_PER_CUBED_FACTOR = 2e-9
"""Moments of a quadratic P&L: four products of matrices of all factors, factor by factor (`risk.delta_gamma`). Measured
1.8 to 3 ns a cubed factor from 60 to 1,000 factors: 1.8 s of a group of a thousand."""

PATH_S_PER_FACTOR = 20e-9
PATH_S_PER_SQUARED_FACTOR = 0.27e-9
PATH_S_PER_COEFFICIENT = 1.2e-9
"""A simulated path: drawing a normal a factor (50 ns of 150 factors, 0.3 us of 1,000), correlating them, and, of each
group, adding what its deltas and gammas give."""

PROBE_NOOP_S = 1e-6


def moments_s(factor_count: int) -> float:
    """Seconds for the moments of one quadratic P&L."""
    return factor_count * (MOMENTS_S_PER_FACTOR + MOMENTS_S_PER_CUBED_FACTOR * factor_count**2)


def paths_s(path_count: int, factor_count: int) -> float:
    """Seconds to draw *path_count* paths of *factor_count* correlated factors."""
    return path_count * factor_count * (PATH_S_PER_FACTOR + PATH_S_PER_SQUARED_FACTOR * factor_count)


CLIENT_S = 0.5e-6
CLIENT_S_PER_POSITION_CELL = 0.25e-9
CLIENT_S_PER_CELL = 3.5e-9
CLIENT_TILE_S_MAX = 30e-3
CLIENTS_PER_TILE_MAX = 4096
"""A client is judged in 4.6 us over 500 scenarios; its numbers and verdict are 111 B, so a tile of 4,096 is 450 kB."""


def client_s(scenario_count: int, position_count: float) -> float:
    """Seconds to judge a client with *position_count* positions."""
    return CLIENT_S + scenario_count * (CLIENT_S_PER_CELL + CLIENT_S_PER_POSITION_CELL * position_count)


def clients_per_tile(seconds: float) -> int:
    """Clients of a tile that take *seconds* each."""
    return max(1, min(CLIENTS_PER_TILE_MAX, int(CLIENT_TILE_S_MAX / seconds)))


KERNEL_TILE_S_MAX = 30e-3
KERNEL_TILES_WANTED = 16
KERNEL_TILE_S_WORTH = 2e-3
KERNEL_DETAIL_SIZE_BYTES_MAX = 768 * 1024
KERNEL_QUARANTINE_SIZE_BYTES_MAX = 3 << 20
KERNEL_EXPONENT_MAX = 24.0
KERNEL_STEPS_MAX = 1024.0
KERNEL_ROW_S_MAX = 60.0
KERNEL_BYTES_PER_ROW = 5  # row i4, status u1
KERNEL_BYTES_PER_OUTPUT = 8
KERNEL_QUARANTINE_BYTES_PER_ROW = 200  # a record and its sentence, should every row of a tile be refused


def kernel_rows_per_tile(row_s: float, row_count: int, output_count: int) -> int:
    """
    Rows of a tile of a kernel over a table: a sixteenth of all, so that slots share a small table, but worth a tile's
    300 us of overhead; at most 30 ms, so that little is lost with a worker; one message, even if every row is refused.
    """
    largest = min(int(KERNEL_TILE_S_MAX / row_s), kernel_rows_per_message(output_count))
    wanted = max(-(-row_count // KERNEL_TILES_WANTED), int(KERNEL_TILE_S_WORTH / row_s))
    return max(1, min(largest, wanted))


def kernel_row_s(work: RowWork, table: Mapping[str, npt.NDArray[np.float64]]) -> float:
    """
    Seconds of the average row of *table*, by what its columns say of each: the request decides the cut, no measurement.
    What is outside a kernel's domain costs as much as its edge.
    """
    import numpy as np

    exponent = np.clip(np.nan_to_num(table[work.exponent_column]), 0.0, KERNEL_EXPONENT_MAX)
    count = np.clip(np.nan_to_num(table[work.count_column]), 1.0, KERNEL_STEPS_MAX)
    return min(float(np.mean(work.step_s * 2.0**exponent * count)), KERNEL_ROW_S_MAX)


def kernel_rows_per_message(output_count: int) -> int:
    """Most rows of a tile, whatever they cost."""
    bytes_per_row = KERNEL_BYTES_PER_ROW + KERNEL_BYTES_PER_OUTPUT * output_count
    return min(
        KERNEL_DETAIL_SIZE_BYTES_MAX // bytes_per_row,
        KERNEL_QUARANTINE_SIZE_BYTES_MAX // (bytes_per_row + KERNEL_QUARANTINE_BYTES_PER_ROW),
    )


FACTOR_COUNT_MAX = CALIBRATED_SIZE_BYTES_MAX // CALIBRATED_BYTES_PER_FACTOR
"""Factors of a market of which one scenario still is one message; thirty times a large bank's day."""


def scenarios_per_tile(scenario_count: int, factor_count: int) -> int:
    """Scenarios of a calibrate or value tile: an eighth of all, at least 32, as far as *factor_count* allows."""
    wanted = max(-(-scenario_count // SCENARIO_BLOCKS_WANTED), SCENARIOS_PER_TILE_MIN)
    fitting = FACTOR_COUNT_MAX // factor_count if factor_count else wanted
    step = SCENARIOS_PER_TILE_MIN
    largest = fitting // step * step or fitting
    return min(-(-wanted // step) * step, largest, SCENARIOS_PER_TILE_MAX)


def resolved_size_bytes(work_s: float) -> int:
    """Size of a block of resolved rows in a source whose values take *work_s*: 4, 8 or 16 MiB."""
    size_bytes, tile_s = RESOLVED_SIZE_BYTES, VALUE_TILE_S_WORTH
    while size_bytes < RESOLVED_SIZE_BYTES_MAX and work_s >= VALUE_TILES_WANTED * 2.0 * tile_s:
        size_bytes, tile_s = 2 * size_bytes, 2.0 * tile_s
    return size_bytes


class TileShape(msgspec.Struct, frozen=True):
    """What the tiles of a source share: how wide they are, and what decides how many rows they have.

    Attributes:
        scenarios: of a block.
        is_detailed: the numbers of each row under each scenario travel.
        resolved_size_bytes: of a block of rows, from `resolved_size_bytes`.
        group_count: leaf groups of the run; sums of so many at most travel.
    """

    scenarios: int
    is_detailed: bool = True
    resolved_size_bytes: int = RESOLVED_SIZE_BYTES
    group_count: int = 1


def rows_per_tile(program: str, asset_class: str, row_count: int, shape: TileShape) -> int:
    """Rows of a tile in a group of *row_count* rows; the module's head says why."""
    cost = COST_CLASSES[program, asset_class]
    value_s = cost.value_s_per_cell * shape.scenarios
    largest = min(
        int(RESOLVE_TILE_S_MAX / cost.resolve_s_per_row),
        int(VALUE_TILE_S_MAX / value_s),
        shape.resolved_size_bytes // cost.resolved_bytes_per_row,
    )
    if shape.is_detailed:
        bytes_per_row = DETAIL_BYTES_PER_CELL * shape.scenarios + DETAIL_BYTES_PER_ROW
        largest = min(largest, DETAIL_SIZE_BYTES_MAX // bytes_per_row)
    groups_of_a_message = SUMS_SIZE_BYTES_MAX // (SUMS_BYTES_PER_CELL * shape.scenarios)
    if shape.group_count > groups_of_a_message:
        largest = min(largest, groups_of_a_message)
    worth_a_tile = int(VALUE_TILE_S_WORTH / (value_s + cost.resolve_s_per_row / SCENARIO_BLOCKS_WANTED))
    spread = -(-row_count // ROW_BLOCKS_WANTED)
    return max(1, min(largest, max(spread, worth_a_tile)))  # a row that is too heavy is a tile alone


def resolve_tile_s(program: str, asset_class: str, rows: int) -> float:
    """Seconds to resolve *rows* rows."""
    return COST_CLASSES[program, asset_class].resolve_s_per_row * rows


def value_tile_s(program: str, asset_class: str, rows: int, scenarios: int) -> float:
    """Seconds to value *rows* rows under *scenarios* scenarios."""
    return COST_CLASSES[program, asset_class].value_s_per_cell * rows * scenarios
