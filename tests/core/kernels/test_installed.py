"""Kernels found through entry points: looked up when asked for, refused one by one, named with their package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import xip_core
from tests.plugins.install import Plugin
from tests.plugins.written import MODULE, write_package
from xip_core.errors import ArgumentError
from xip_core.kernels import catalogue, installed
from xip_core.kernels.catalogue import kernel_versions

AddPackage = Callable[..., None]


@pytest.fixture
def add_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AddPackage]:
    """Install a package of one module without a build: its module and its metadata, on the path of this test."""

    def forget() -> None:
        installed._entries.cache_clear()
        installed._looked_up.clear()
        catalogue._door.cache_clear()

    def add(package: str, entry_points: dict[str, str], source: str = MODULE) -> None:
        monkeypatch.syspath_prepend(str(write_package(tmp_path, package, entry_points, source)))
        monkeypatch.delitem(sys.modules, package, raising=False)
        forget()

    yield add
    forget()


def test_an_installed_kernel_is_called_and_listed_like_ours(add_package: AddPackage) -> None:
    add_package("desk_kernels", {"desk.twice": "TWICE"})
    value = xip_core.evaluate("desk.twice", x=[[1.0, 2.0], [3.0, 4.0]])
    assert value["pv"].tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert value["status"].dtype == np.uint8
    described = xip_core.catalogue()["desk.twice"]
    assert (described.version, described.package) == ("3+desk_kernels-1.2.0", "desk_kernels 1.2.0")
    assert kernel_versions()["desk.twice"] == "3+desk_kernels-1.2.0"


def test_a_refused_kernel_says_package_and_sentence_and_the_others_stay(add_package: AddPackage) -> None:
    add_package("desk_kernels", {"desk.twice": "TWICE", "desk.wrong": "MISNAMED", "desk.gone": "NOTHING"})
    assert xip_core.evaluate("desk.twice", x=1.0)["pv"] == 2.0
    assert "desk.wrong" not in xip_core.catalogue()
    with pytest.raises(ArgumentError) as caught:
        xip_core.evaluate("desk.wrong", x=1.0)
    assert caught.value.reason == "KERNEL_REFUSED"
    assert str(caught.value) == (
        "kernel desk.wrong of package desk_kernels 1.2.0: its name must be that of its entry point, 'desk.wrong', "
        "got 'desk.other'"
    )
    with pytest.raises(ArgumentError, match="desk_kernels:NOTHING must be importable, AttributeError"):
        xip_core.evaluate("desk.gone", x=1.0)


def test_a_package_that_cannot_be_imported_costs_nobody_else_anything(add_package: AddPackage) -> None:
    add_package("broken_kernels", {"broken.one": "TWICE"}, "raise OSError('no licence')")
    add_package("desk_kernels", {"desk.twice": "TWICE"})
    added, refused = installed.load_all()
    assert [item.kernel.name for item in added] == ["desk.twice"]
    (sentence,) = [item.sentence for item in refused]
    assert sentence.startswith("kernel broken.one of package broken_kernels 1.2.0: broken_kernels:TWICE must be ")
    assert sentence.endswith(", OSError: no licence")


def test_one_name_in_two_packages_is_refused_in_both(add_package: AddPackage) -> None:
    add_package("desk_kernels", {"desk.twice": "TWICE"})
    add_package("rival_kernels", {"desk.twice": "TWICE"})
    with pytest.raises(ArgumentError, match=r"one package must have it, these do: .*desk_kernels 1\.2\.0"):
        xip_core.evaluate("desk.twice", x=1.0)


def test_our_kernels_cannot_be_replaced(add_package: AddPackage) -> None:
    add_package("desk_kernels", {"equity.european": "TWICE"})
    assert xip_core.catalogue()["equity.european"].package == ""
    _, (refused,) = installed.load_all()
    assert "'equity.european', got 'desk.twice'" in refused.sentence


def test_an_unknown_kernel_is_told_the_names_that_are_near_without_an_import(add_package: AddPackage) -> None:
    add_package("desk_kernels", {"desk.twice": "TWICE"}, "raise SystemError('imported')")
    with pytest.raises(ArgumentError, match=r"got 'desk.twise'; near: desk.twice"):
        xip_core.evaluate("desk.twise", x=1.0)


def test_metadata_is_read_only_where_some_package_names_the_group(tmp_path: Path) -> None:
    empty = tmp_path / "plain" / "other-1.0.dist-info"
    empty.mkdir(parents=True)
    (empty / "entry_points.txt").write_text("[console_scripts]\nother = other:main\n")
    missing = str(tmp_path / "missing")
    assert not installed.is_group_anywhere([missing, str(tmp_path / "plain")])
    (tmp_path / "bundle.zip").write_bytes(b"PK")
    assert installed.is_group_anywhere([missing, str(tmp_path / "bundle.zip")])
    for name, inside in (("a-1.0.dist-info", ""), ("b-1.0.egg-info", ""), ("c-1.0.egg", "EGG-INFO")):
        folder = tmp_path / name[0] / name / inside
        folder.mkdir(parents=True)
        (folder / "entry_points.txt").write_text("[xip.kernels]\ndesk.twice = desk:TWICE\n")
        assert installed.is_group_anywhere([missing, str(tmp_path / name[0])])


def test_our_own_kernels_and_the_help_look_up_no_entry_point() -> None:
    code = (
        "import sys, xip_core; from xip_core.cli.main import run_command; run_command(['--help']); "
        "xip_core.evaluate('black.european', forward=1, strike=1, time=1, volatility=1, discount=1, is_call=1); "
        "import xip_core.kernels.installed as i; print(i._entries.cache_info().misses)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"


def test_the_example_package_has_the_numbers_of_its_sources(example_kernels: Plugin) -> None:
    code = """
import math, xip_core
value = xip_core.evaluate("example.simple_forward", spot=[100, 100], rate=0.03, dividend_yield=0.01, time=[2, -1])
assert value["status"].tolist() == [0, 8], value
assert value["forward"][0] == 100 * (1.06 / 1.02)
digital = xip_core.evaluate(
    "example.cash_digital", forward=105, strike=[100, 0], time=0.5, volatility=0.25, discount=0.98, is_call=1)
ours = xip_core.evaluate(
    "equity.digital", spot=105, strike=100, time=0.5, rate=0, dividend_yield=0, volatility=0.25, is_call=1, cash=1,
    is_asset=0)
assert digital["status"].tolist() == [0, 8], digital
assert math.isclose(digital["pv"][0], 0.98 * ours["pv"], rel_tol=1e-14)
assert math.isclose(digital["delta"][0], 0.98 * ours["delta"], rel_tol=1e-13)
assert {"example.cash_digital", "example.simple_forward"} <= set(xip_core.catalogue())
"""
    subprocess.run([sys.executable, "-c", code], env=os.environ | example_kernels.environment, check=True)
