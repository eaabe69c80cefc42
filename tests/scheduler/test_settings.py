"""xip_scheduler.settings"""

from __future__ import annotations

from pathlib import Path

import pytest

from xip_core.errors import InputError, RequestError
from xip_scheduler.settings import Settings, is_loopback, load_settings, parse_weights


def test_without_sources_the_defaults_hold() -> None:
    assert load_settings(None, {}, {}) == Settings()


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "scheduler.toml"
    path.write_text('data_dir = "file"\nmetrics_port = 1\nlive_runs_max = 1\n')
    environment = {"XIP_SCHEDULER_METRICS_PORT": "2", "XIP_SCHEDULER_LIVE_RUNS_MAX": "2", "OTHER": "x"}
    settings = load_settings(path, environment, {"live_runs_max": 3})
    assert (settings.data_dir, settings.metrics_port, settings.live_runs_max) == ("file", 2, 3)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"listen": "127.0.0.1"}, "HOST:PORT"),
        ({"listen": "127.0.0.1:70000"}, "HOST:PORT"),
        ({"listen": "0.0.0.0:7780"}, "must be a loopback address"),
        ({"listen": "example.org:7780"}, "must be a loopback address"),
        ({"metrics_port": -1}, "metrics_port"),
        ({"lease_duration_s": 5.0}, "three heartbeats"),
        ({"heartbeat_interval_s": 0.0}, "three heartbeats"),
        ({"log_level": "loud"}, "log_level"),
        ({"store": "mysql://x@h/d"}, "store must be postgresql://"),
        ({"leader_silence_s": 0.1}, "leader_silence_s"),
        ({"live_runs_max": 0}, "live_runs_max"),
        ({"tenant_live_runs_max": 0}, "tenant_live_runs_max"),
        ({"tenant_weights": {"rates": 0.0}}, "weight of a tenant"),
        ({"tenant_weights": {"rates": float("nan")}}, "weight of a tenant"),
        ({"tenant_weights": {"rates": "heavy"}}, "tenant_weights"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(flags: dict[str, object], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        load_settings(None, {}, flags)


def test_a_bad_environment_variable_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match="XIP_SCHEDULER_METRICS_PORT"):
        load_settings(None, {"XIP_SCHEDULER_METRICS_PORT": "many"}, {})


def test_weights_of_tenants_come_from_a_table_the_environment_or_flags(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('[tenant_weights]\nrates = 2\n"credit desk" = 0.5\n')
    assert load_settings(path, {}, {}).tenant_weights == {"rates": 2.0, "credit desk": 0.5}
    environment = {"XIP_SCHEDULER_TENANT_WEIGHTS": "rates=3,fx=1.5"}
    assert load_settings(path, environment, {}).tenant_weights == {"rates": 3.0, "fx": 1.5}
    flags = {"tenant_weights": parse_weights(("a=b=4",), "--tenant-weight")}
    assert load_settings(path, environment, flags).tenant_weights == {"a=b": 4.0}


@pytest.mark.parametrize("text", ["rates", "rates=", "rates=much", "=x"])
def test_a_weight_that_is_none_is_refused_with_where_it_stands(text: str) -> None:
    with pytest.raises(RequestError, match="--tenant-weight: a tenant's weight must be NAME=NUMBER"):
        parse_weights((text,), "--tenant-weight")


def test_an_unreadable_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("listen = ")
    for name in ("absent.toml", "broken.toml"):
        with pytest.raises(InputError, match=name):
            load_settings(tmp_path / name, {}, {})


def test_any_address_is_allowed_when_told_so() -> None:
    assert load_settings(None, {}, {"listen": "0.0.0.0:7780", "insecure": True}).host == "0.0.0.0"


@pytest.mark.parametrize(
    ("host", "answer"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("[::1]", True), ("localhost", True), ("10.0.0.1", False), ("", False)],
)
def test_loopback_is_what_only_this_machine_can_reach(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer
