"""xip_core.evaluate and the catalogue: the door every quant and every test goes through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xip_core
from xip_core.errors import ArgumentError, RequestError
from xip_core.kernels.catalogue import catalogue, evaluate, kernel_versions, signature_of
from xip_core.kernels.level import load_module

OPTION: dict[str, Any] = {
    "spot": 100.0,
    "strike": 95.0,
    "time": 1.5,
    "rate": 0.03,
    "dividend_yield": 0.01,
    "volatility": 0.25,
    "is_call": 1,
}


def test_catalogue_describes_every_column_and_output_of_the_compiled_kernels() -> None:
    for name, kernel in catalogue().items():
        assert name == kernel.name
        module = load_module(kernel.module)
        names = tuple(tuple(item.name for item in items) for items in (kernel.columns, kernel.outputs))
        assert names == signature_of(module, kernel.function)
        assert all(column.unit and column.domain for column in kernel.columns)
        assert kernel.source
        assert kernel.summary


def test_catalogue_is_reached_under_all_its_names() -> None:
    assert xip_core.catalogue() == catalogue()
    assert xip_core.kernels.catalogue() == catalogue()


def test_every_kernel_has_a_version_for_the_lineage() -> None:
    versions = kernel_versions()
    without_columns = {
        "calibration.system",
        "caplets.strip",
        "credit.default_steps",
        "elementary.log",
        "monte_carlo.normals",
        "option.rows",
        "rates.rollback",
        "suitability.numbers",
        "terms.rows",
    }
    assert set(versions) == set(catalogue()) | without_columns
    assert all(versions.values())


def test_outputs_are_float64_and_status_is_uint8() -> None:
    value = evaluate("equity.european", **OPTION)
    names = ["pv", "delta", "gamma", "vega", "theta", "rho", "dividend_rho", "vanna", "volga", "status"]
    assert list(value) == names
    assert {name: array.dtype.str for name, array in value.items()} == dict.fromkeys(list(value)[:-1], "<f8") | {
        "status": "|u1"
    }


def test_numbers_alone_give_arrays_without_dimensions() -> None:
    assert evaluate("equity.european", **OPTION)["pv"].shape == ()


@pytest.mark.parametrize("layout", ["column by row", "reversed", "every second", "transposed", "float32", "list"])
def test_columns_broadcast_and_convert_like_numpy(layout: str) -> None:
    strikes = np.linspace(60.0, 140.0, 24)
    spots = np.array([90.0, 110.0])
    changes: dict[str, Any] = {
        "column by row": {"spot": spots[:, None], "strike": strikes},
        "reversed": {"strike": strikes[::-1]},
        "every second": {"strike": np.linspace(60.0, 140.0, 48)[::2]},
        "transposed": {"strike": strikes.reshape(4, 6).T, "is_call": np.arange(24).reshape(6, 4) % 2 == 0},
        "float32": {"strike": strikes.astype(np.float32), "spot": 100},
        "list": {"strike": strikes.tolist(), "time": [1.5]},
    }[layout]
    value = evaluate("equity.european", **(OPTION | changes))
    full = {name: np.asarray(column, float) for name, column in (OPTION | changes).items()}
    spread = dict(zip(full, np.broadcast_arrays(*full.values()), strict=True))
    assert value["pv"].shape == spread["spot"].shape
    for place in np.ndindex(value["pv"].shape):
        alone = evaluate("equity.european", **{name: float(column[place]) for name, column in spread.items()})
        assert {name: array[place] for name, array in value.items()} == {name: float(a) for name, a in alone.items()}


def test_empty_columns_give_empty_outputs() -> None:
    assert evaluate("equity.european", **(OPTION | {"strike": []}))["pv"].shape == (0,)


def test_inputs_are_never_written() -> None:
    strikes = np.linspace(60.0, 140.0, 24)
    strikes.flags.writeable = False
    assert evaluate("equity.european", **(OPTION | {"strike": strikes}))["pv"].shape == (24,)


def test_selected_outputs_are_those_of_the_full_call_and_no_others() -> None:
    full = evaluate("equity.european", **OPTION)
    some = evaluate("equity.european", outputs=("gamma", "pv"), **OPTION)
    assert list(some) == ["gamma", "pv", "status"]
    assert all(some[name].tobytes() == full[name].tobytes() for name in some)
    assert list(evaluate("equity.european", outputs="pv", **OPTION)) == ["pv", "status"]


@pytest.mark.parametrize(
    ("name", "changes", "reason", "message"),
    [
        ("equity.europaen", {}, "UNKNOWN_KERNEL", "got 'equity.europaen'; near: equity.european"),
        ("zzz", {}, "UNKNOWN_KERNEL", "near: .*black.european.*fx.european"),
        ("equity.european", {"barrier": 1.0}, "BAD_COLUMN", "unknown barrier"),
        ("fx.european", {}, "BAD_COLUMN", "missing domestic_rate, foreign_rate; unknown rate, dividend_yield"),
        ("equity.european", {"spot": "100"}, "BAD_COLUMN", "column spot must be real numbers, got <U3"),
        ("equity.european", {"spot": 1j}, "BAD_COLUMN", "column spot must be real numbers"),
        ("equity.european", {"spot": None}, "BAD_COLUMN", "column spot must be real numbers"),
        ("equity.european", {"spot": [1, [2, 3]]}, "BAD_COLUMN", "column spot must be one array"),
        ("equity.european", {"spot": [1, 2], "strike": [1, 2, 3]}, "BAD_SHAPE", r"strike has shape \(3,\)"),
        ("equity.european", {"outputs": ("pv", "speed")}, "UNKNOWN_OUTPUT", "pv, delta, .*, got 'speed'"),
    ],
)
def test_call_that_cannot_be_priced_says_what_must_hold(
    name: str, changes: dict[str, Any], reason: str, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        evaluate(name, **(OPTION | changes))
    assert caught.value.reason == reason
    assert isinstance(caught.value, RequestError)
    assert isinstance(caught.value, ValueError)


def test_compiled_door_refuses_buffers_of_wrong_length_or_type() -> None:
    module = load_module("equity")
    columns, outputs, status = tuple(np.ones(4) for _ in range(7)), (np.empty(4),) + (None,) * 8, np.empty(4, np.uint8)
    module.european(columns, outputs, status)
    for wrong in (np.ones(3), np.ones(4, np.float32), np.ones((2, 2)), np.ones(8)[::2]):
        with pytest.raises((ValueError, BufferError)):
            module.european((wrong, *columns[1:]), outputs, status)
        with pytest.raises((ValueError, BufferError)):
            module.european(columns, (wrong, *outputs[1:]), status)
    with pytest.raises(ValueError, match="7 columns and 9 outputs are needed, got 6 and 9"):
        module.european(columns[1:], outputs, status)
    with pytest.raises(ValueError, match="status must be a contiguous uint8 vector"):
        module.european(columns, outputs, np.empty(4))
