"""A scheduler in a thread, and xipctl as a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.core.client.server import BOOK, MARKET, SCENARIOS, ScriptedScheduler, ServerThread
from xip_core.cli.main import run_command


class Answer(NamedTuple):
    """What a user sees of one call."""

    code: int
    out: str
    err: str


Xipctl = Callable[..., Answer]


@pytest.fixture
def server() -> Iterator[ServerThread]:
    with ServerThread(ScriptedScheduler()) as thread:
        yield thread


@pytest.fixture
def xipctl(server: ServerThread, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Xipctl:
    """Call xipctl against *server*."""
    monkeypatch.setenv("XIP_SCHEDULER", server.address)

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = run_command([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Options that name a book, a market and scenarios."""
    for name, content in (("book.jsonl", BOOK), ("market.json", MARKET), ("scenarios.json", SCENARIOS)):
        (tmp_path / name).write_bytes(content)
    book, market, scenarios = tmp_path / "book.jsonl", tmp_path / "market.json", tmp_path / "scenarios.json"
    return [f"--book={book}", f"--market={market}", f"--scenarios={scenarios}"]
