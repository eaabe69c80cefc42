"""What the README shows works as it is written: its Python against real daemons, its two terminals as processes."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.integration.cluster import Daemon
from tests.integration.cluster_run import RUN_LIMIT_S, kept

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()
ADDRESS = "127.0.0.1:7780"
MODULES = {"xip-scheduler": "xip_scheduler", "xip-worker": "xip_worker", "xipctl": "xip_core.cli"}


def blocks(language: str) -> list[str]:
    """The README's code blocks in *language*, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def of_this_test(line: str, address: str, directory: Path) -> list[str]:
    """A command of the README as arguments of `python -m`, on this test's port and directory."""
    words = shlex.split(line.replace(ADDRESS, address).replace("xip-data", str(directory / "xip-data")))
    return [MODULES[words[0]], *words[1:]]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The daemons of "Two terminals", started by its first two lines; the port alone is another, a free one."""
    directory = tmp_path_factory.mktemp("readme")
    scheduler_line, worker_line, _ = blocks("sh")[1].splitlines()
    with contextlib.ExitStack() as stack:
        scheduler = kept(stack, Daemon(of_this_test(scheduler_line, "127.0.0.1:0", directory)))
        address = str(scheduler.wait_for_log("serving")["address"])
        worker = kept(stack, Daemon(of_this_test(worker_line, address, directory)))
        worker.wait_for_log("attached")
        yield address


def test_the_first_block_is_two_commands() -> None:
    install_and_run, install_and_test = blocks("sh")[0].splitlines()
    assert install_and_run.startswith("python -m pip install ")
    assert install_and_test.startswith("python -m pip install ")


def test_the_third_line_of_two_terminals_prices_the_sample(address: str, tmp_path: Path) -> None:
    command = of_this_test(blocks("sh")[1].splitlines()[2], address, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=RUN_LIMIT_S, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    assert "sample:cross-asset  completed" in done.stdout


def test_the_first_python_block_prices_in_this_process() -> None:
    code = blocks("python")[0]
    statement, _, expression = code.partition("\n\n")
    names: dict[str, object] = {}
    exec(statement, names)
    result = eval(expression.strip(), names)
    assert isinstance(result, dict)
    assert {"pv", "delta", "gamma", "vega", "status"} <= result.keys()
    assert result["pv"].shape == (3,)
    assert not result["status"].any()


def test_the_second_python_block_streams_a_run(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    exec(blocks("python")[1].replace(ADDRESS, address), names)
    shapes = capsys.readouterr().out.splitlines()
    assert len(shapes) > 10
    assert shapes[-1] == "(6,)", "the last block holds the totals of the asset classes"
    numbers = names["numbers"]
    assert np.isfinite(numbers.pv).all()  # type: ignore[attr-defined]  # a name the snippet defines
    assert numbers.pv.shape == (2000, 251)  # type: ignore[attr-defined]  # likewise
