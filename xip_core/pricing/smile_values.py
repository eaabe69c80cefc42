"""Volatilities from smiles under scenarios: what value tiles evaluate where a volatility is not linear in the market.

Of an option on the forward F with strike K and years t, and of the slices of its smile (`layout.SmileRef`),

    k = ln(K / F)     volatility = sqrt(sum of weight * w(k) / t)

where w is a slice's total variance in its own time T: v(k)^2 T of a spline and of SABR, Gatheral's hyperbola of SVI.
Slices of swaptions ("sabr_normal") give normal volatilities at F and K, and the option's is the sum of weight * slice.
Columns of S slices, those of one option next to each other:

    smile_option i4     the option
    smile_model u1      place in MODELS
    smile_begin i4, smile_width i4     factors
    smile_time, smile_weight, smile_beta, smile_shift f8     T, weight, SABR's beta and shift
    smile_sign f8                                            -1 where the pair is inverted

All arithmetic is elementwise or a kernel's, so a cell's bytes depend on its row and its column of the market alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xip_core.kernels.level import load_module
from xip_core.pricing.layout import SmileRef
from xip_core.pricing.tile import Columns

Floats = npt.NDArray[np.float64]

MODELS = ("spline", "sabr", "svi", "sabr_normal")
NORMAL_MODEL = MODELS.index("sabr_normal")


def smile_columns(smiles: Sequence[tuple[int, SmileRef]]) -> Columns:
    """The columns of (option, smile) pairs."""
    slices = [(option, smile, item) for option, smile in smiles for item in smile.slices]
    return {
        "smile_option": np.array([option for option, _, _ in slices], dtype=np.int32),
        "smile_model": np.array([MODELS.index(smile.model) for _, smile, _ in slices], dtype=np.uint8),
        "smile_begin": np.array([item.begin for _, _, item in slices], dtype=np.int32),
        "smile_width": np.array([smile.width for _, smile, _ in slices], dtype=np.int32),
        "smile_time": np.array([item.time_years for _, _, item in slices], dtype=np.float64),
        "smile_weight": np.array([item.weight for _, _, item in slices], dtype=np.float64),
        "smile_beta": np.array([smile.beta for _, smile, _ in slices], dtype=np.float64),
        "smile_shift": np.array([smile.shift for _, smile, _ in slices], dtype=np.float64),
        "smile_sign": np.array([-1.0 if smile.is_inverse else 1.0 for _, smile, _ in slices], dtype=np.float64),
    }


def apply_smiles(volatility: Floats, columns: Columns, forward: Floats, market: Floats) -> None:
    """Writes the volatilities of the options that have a smile into *volatility* (O, S); NaN where there is none.

    Args:
        forward: (O, S).
        market: (F, S).
    """
    option, model = columns["smile_option"], columns["smile_model"]
    log_moneyness = _log_ratio(columns["option_strike"][option], forward[option])
    weighted = slice_values(columns, forward[option], log_moneyness * columns["smile_sign"][:, None], market)
    weighted = weighted * columns["smile_weight"][:, None]
    begins = np.flatnonzero(np.concatenate(([True], option[1:] != option[:-1])))
    counts = np.diff(np.append(begins, len(option)))
    chosen = option[begins]
    total = weighted[begins]
    for place in range(1, int(counts.max())):  # in order of the slices
        more = counts > place
        total[more] += weighted[begins[more] + place]
    years = columns["option_time"][chosen, None]
    is_normal = (model[begins] == NORMAL_MODEL)[:, None]
    with np.errstate(all="ignore"):  # what is not finite is reported by the caller
        of_variance = np.sqrt(total / years)
    volatility[chosen] = np.where(years > 0.0, np.where(is_normal, total, of_variance), 0.0)


def slice_values(columns: Columns, forward: Floats, log_moneyness: Floats, market: Floats) -> Floats:
    """Total variance (n, S) of each slice at its log-moneyness (n, S); of swaptions the normal volatility."""
    found = np.empty_like(log_moneyness)
    model, begin, width = columns["smile_model"], columns["smile_begin"], columns["smile_width"]
    for kind, size in sorted(set(zip(model.tolist(), width.tolist(), strict=True))):
        chosen = (model == kind) & (width == size)
        parameters = market[begin[chosen] + np.arange(size)[:, None]]  # (size, n, S)
        years, k = columns["smile_time"][chosen, None], log_moneyness[chosen]
        match MODELS[kind]:
            case "spline":
                x, volatilities, bends = parameters.reshape(3, size // 3, *k.shape)
                volatility = spline_volatility(x, volatilities, bends, k)
                found[chosen] = volatility * volatility * years
            case "sabr":
                volatility = _sabr_volatility(parameters, k, years, columns["smile_beta"][chosen, None])
                found[chosen] = volatility * volatility * years
            case "sabr_normal":
                found[chosen] = _normal_volatility(columns, chosen, parameters, forward[chosen])
            case _:
                found[chosen] = _svi_variance(parameters, k)
    return found


def spline_volatility(x: Floats, volatilities: Floats, bends: Floats, k: Floats) -> Floats:
    """Natural cubic spline at *k*, flat beyond the outer points; points first: (n, ...) and (...)."""
    inside = np.minimum(np.maximum(k, x[0]), x[-1])
    found = volatilities[0]
    for row in range(len(x) - 1):
        width = x[row + 1] - x[row]
        right = (inside - x[row]) / width
        left = 1.0 - right
        cubic = (left * left * left - left) * bends[row] + (right * right * right - right) * bends[row + 1]
        value = left * volatilities[row] + right * volatilities[row + 1] + cubic * (width * width / 6.0)
        found = np.where(inside >= x[row], value, found)
    with np.errstate(invalid="ignore"):
        return np.where(found > 0.0, found, np.nan)  # a spline may overshoot below zero, a volatility may not


def _log_ratio(strike: Floats, forward: Floats) -> Floats:
    """ln(strike / forward), (n, S)."""
    result = np.empty(forward.size)
    spread = np.broadcast_to(strike[:, None], forward.shape).ravel()
    load_module("elementary").apply(
        "log_ratio", (spread, np.ascontiguousarray(forward).ravel()), result, np.empty(forward.size, dtype=np.uint8)
    )
    is_priced = (spread > 0.0) & (forward.ravel() > 0.0)
    return np.where(is_priced, result, np.nan).reshape(forward.shape)


def _sabr_volatility(parameters: Floats, k: Floats, years: Floats, beta: Floats) -> Floats:
    strike = np.empty(k.size)
    load_module("elementary").apply("exp_", (k.ravel(),), strike, np.empty(k.size, dtype=np.uint8))
    alpha, rho, nu = parameters
    one, zero = np.ones(1), np.zeros(1)
    columns = (one, strike, *_flat(k, years, alpha, beta, rho, nu), zero)
    kernel = load_module("volatility_sabr")
    return _only(kernel.sabr, columns, len(kernel.OUTPUTS), 0, k)


def _normal_volatility(
    columns: Columns, chosen: npt.NDArray[np.bool_], parameters: Floats, forward: Floats
) -> Floats:
    strike = columns["option_strike"][columns["smile_option"][chosen], None]
    years, beta, shift = (columns[f"smile_{name}"][chosen, None] for name in ("time", "beta", "shift"))
    alpha, rho, nu = parameters
    kernel = load_module("volatility_sabr")
    inputs = tuple(_flat(forward, forward, strike, years, alpha, beta, rho, nu, shift))
    return _only(kernel.sabr_normal, inputs, len(kernel.OUTPUTS), 0, forward)


def _svi_variance(parameters: Floats, k: Floats) -> Floats:
    kernel = load_module("volatility_svi")
    columns = (k.ravel(), np.ones(1), *_flat(k, *parameters))
    return _only(kernel.svi, columns, len(kernel.OUTPUTS), 1, k)


def _flat(like: Floats, *values: Floats) -> list[Floats]:
    return [np.ascontiguousarray(np.broadcast_to(value, like.shape)).ravel() for value in values]


def _only(door: object, columns: tuple[Floats, ...], output_count: int, place: int, like: Floats) -> Floats:
    """The output at *place* of a kernel."""
    assert callable(door)
    outputs: list[Floats | None] = [None] * output_count
    result = outputs[place] = np.empty(like.size)
    door(columns, tuple(outputs), np.empty(like.size, dtype=np.uint8))
    return result.reshape(like.shape)
