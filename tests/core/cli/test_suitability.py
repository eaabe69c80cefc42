"""xipctl suitability: files to verdicts through real daemons, and what is said of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xip_core.cli.main import run_command
from xip_core.model.clients import client_ids, decode_clients
from xip_core.model.suitability import RULES, decode_instruments, decode_profiles
from xip_core.readers.client_table import write_clients
from xip_core.samples.portfolios import load_clients

REPOSITORY = Path(__file__).resolve().parents[3]


def written(folder: Path) -> list[str]:
    """Options that name the sample's files, of which one instrument lost its market and the scenarios are fewer."""
    sample = load_clients()
    scenarios = json.loads(sample.scenarios)
    scenarios["scenarios"] = scenarios["scenarios"][:41] + scenarios["scenarios"][-8:]
    profiles, instruments = decode_profiles(sample.profiles), decode_instruments(sample.instruments)
    names = [profile.name for profile in profiles.profiles]
    contents = {
        "clients.csv": write_clients(decode_clients(sample.clients), names, [item.id for item in instruments]),
        "profiles.json": sample.profiles,
        "instruments.json": sample.instruments,
        "book.jsonl": sample.book.replace(
            b'"name":"Lufthansa","currency":"EUR","maturity"', b'"name":"LHA","currency":"EUR","maturity"'
        ),
        "market.json": sample.market,
        "scenarios.json": json.dumps(scenarios).encode(),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    options = [f"--{name.partition('.')[0]}={folder / name}" for name in contents]
    return [*options, "--stress=stress *", "--span-days=10"]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("clients")
    options = written(folder)
    command = (sys.executable, "-m", "xip_core.cli", "suitability", *options, "--local", "--output=json")
    done = subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (3, "")
    document: dict[str, object] = json.loads(done.stdout)
    return document


def test_every_client_has_a_verdict_with_numbers_limits_and_margins(judged):
    clients = judged["clients"]
    assert [client["client"] for client in clients] == client_ids(decode_clients(load_clients().clients))
    assert sum(sum(found.values()) for found in judged["counts"].values()) == len(clients) == 300
    assert {client["verdict"] for client in clients} == {"SUITABLE", "REVIEW", "UNSUITABLE"}
    told = [client for client in clients if not client["reason"]]
    for client in told:
        assert list(client["rules"]) == list(RULES)
        rule = client["rules"][client["binding_rule"]]
        assert rule["margin"] == rule["limit"] - rule["number"]
        assert (client["verdict"] == "UNSUITABLE") == (rule["margin"] < 0.0)
    assert judged["profiles_note"].startswith("EXAMPLE, to be replaced")


def test_who_holds_what_has_no_number_is_for_review_and_has_none(judged):
    """The tracker lost its equity: it is quarantined, named, and its holders have no number at all."""
    sample = load_clients()
    table, instruments = decode_clients(sample.clients), decode_instruments(sample.instruments)
    lost = [item.id for item in instruments].index("TRACKER_Lufthansa")
    holders = [
        client
        for client in range(table.client_count)
        if lost in table.instrument[table.begin[client] : table.begin[client + 1]]
    ]
    assert 0 < len(holders) < 300
    for number, client in enumerate(judged["clients"]):
        assert (client["reason"] == "instrument TRACKER_Lufthansa has no number") == (number in holders)
        if number in holders:
            assert (client["verdict"], client["binding_rule"]) == ("REVIEW", "")
            assert all(rule["number"] is None for rule in client["rules"].values())
    assert [item["id"] for item in judged["instruments_without_number"]] == ["TRACKER_Lufthansa"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "give sample:clients, or all of the files; missing --clients"),
        (["sample:nobody"], "SOURCE must be sample:clients, got 'sample:nobody'"),
        (["sample:clients", "--local", "--scheduler=h:1"], "--local starts a scheduler of its own"),
    ],
)
def test_a_command_line_that_says_too_little_is_refused(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["suitability", *arguments]) == 2
    assert what in capsys.readouterr().err


def test_a_client_at_fault_is_named_before_anything_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = written(tmp_path)
    path = tmp_path / "clients.csv"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace(",BOND_", ",BAND_")
    path.write_text("\n".join(lines))
    assert run_command(["suitability", *options, "--scheduler=127.0.0.1:1"]) == 1
    assert f"{path}:3: instrument must be one of the 44 given, got 'BAND_" in capsys.readouterr().err
