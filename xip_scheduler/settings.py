"""What an operator may set, and where it comes from.

Later sources win: defaults here, then a TOML file, then environment variables XIP_SCHEDULER_<NAME>, then flags. The
result is checked once, printed at start and never changes.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from xip_core.errors import InputError, RequestError

ENVIRONMENT_PREFIX = "XIP_SCHEDULER_"

POSITIVE = ("upload_size_limit_bytes", "live_runs_max", "tenant_live_runs_max", "peer_calls_max", "peer_workers_max")


WEIGHT_MIN, WEIGHT_MAX = 0.01, 100.0
"""Of a tenant: the wait for a lease grows with the sum of weights over one's own."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Attributes:
        listen: "HOST:PORT"; port 0 takes a free one.
        port_file: file that gets the bound port as soon as the scheduler serves; "" for none.
        data_dir: directory of the store, or of copies of blobs; belongs to one scheduler at a time.
        restored: a backup of the store was put back: older leases are void (`store.sqlite_file`). For one start.
        store: postgresql://USER@HOST:PORT/DATABASE, shared by schedulers that replace one another; "" for a file in
            data_dir. Never with a password.
        store_password_file: file with the password of the store; "" for PGPASSWORD, PGPASSFILE, or none.
        leader_silence_s: a leader that does not renew for so long is replaced by one that stands by.
        metrics_port: port of the Prometheus endpoint on the same host; 0 for none.
        insecure: allow an address other than loopback, without encryption or identity.
        lease_duration_s: a worker silent for so long loses its leases. Of the 16 s within which the work of a silent
            machine must be leased again, two are left for a scheduler with much else to do.
        heartbeat_interval_s: how often workers are told to speak; below a third of the lease, so that two may be lost.
        stalled_after_s: a tile whose kernel has not looked up for so long is taken back and tried in isolation.
        gathering_s: after a restart with live runs nothing is leased for so long, so that workers can come back and say
            what they hold: their pauses between two tries are 2 s at most, and connecting takes some time too.
        upload_size_limit_bytes: largest blob accepted.
        live_runs_max: more are refused until some finish; each live run costs some kilobytes and a share of attention.
        tenant_live_runs_max: likewise of one tenant, so that one that floods leaves room for others.
        peer_calls_max, peer_workers_max: calls under way and worker streams of one address; raise them where many desks
            or workers come through one proxy.
        run_age_limit_days: final runs are removed so long after their end, with details and blobs; a month, so that a
            month's end can be looked at until the next. 0 keeps them for ever.
        store_size_limit_bytes: above it the oldest final runs go, whatever their age; 20 GB restart in seconds and copy
            in minutes. 0 for no limit. Of the file in data_dir; a database has its own limits.
        final_runs_kept_min: so many final runs stay whatever their age: a clock that jumps ahead makes all runs old.
        tenant_weights: shares of the grid by tenant; 1 for those not named.
        log_level: "debug", "info", "warning" or "error".
    """

    listen: str = "127.0.0.1:7780"
    port_file: str = ""
    data_dir: str = "xip-data"
    restored: bool = False
    store: str = ""
    store_password_file: str = ""
    leader_silence_s: float = 5.0
    metrics_port: int = 0
    insecure: bool = False
    lease_duration_s: float = 14.0
    heartbeat_interval_s: float = 4.0
    stalled_after_s: float = 60.0
    gathering_s: float = 2.5
    upload_size_limit_bytes: int = 256 << 20
    live_runs_max: int = 1_000
    tenant_live_runs_max: int = 800
    peer_calls_max: int = 512
    peer_workers_max: int = 5_000
    run_age_limit_days: float = 30.0
    store_size_limit_bytes: int = 20 << 30
    final_runs_kept_min: int = 100
    tenant_weights: dict[str, float] = {}
    log_level: str = "info"

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


def load_settings(path: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """
    Settings from all sources.

    Args:
        path: TOML file, or None.
        flags: those given on the command line, by field name.

    Raises:
        InputError: the file cannot be read or is not TOML.
        RequestError: BAD_SETTING, with the setting and what it must be.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values.update(tomllib.loads(path.read_text()))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"settings must be a readable TOML file: {error}", str(path)) from None
    fields = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for name, text in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            field = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            values[field] = _from_text(name, text, fields.get(field, str))
    values.update(flags)
    try:
        settings = msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise RequestError("BAD_SETTING", f"settings: {error}") from None
    _check(settings)
    return settings


def parse_weights(texts: Iterable[str], where: str) -> dict[str, float]:
    """
    Weights by tenant of "NAME=W" each; *where* they stand, for the error.

    Raises:
        RequestError: BAD_SETTING.
    """
    weights: dict[str, float] = {}
    for text in texts:
        tenant, separator, number = text.rpartition("=")
        try:
            weights[tenant.strip()] = float(number)
        except ValueError:
            separator = ""
        if not separator:
            raise RequestError("BAD_SETTING", f"{where}: a tenant's weight must be NAME=NUMBER, got {text!r}")
    return weights


def _from_text(name: str, text: str, kind: Any) -> object:
    if kind == dict[str, float]:
        return parse_weights(text.split(","), f"environment variable {name}")
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise RequestError("BAD_SETTING", f"environment variable {name}: {error}") from None


def _check(settings: Settings) -> None:
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise RequestError("BAD_SETTING", f"listen must be HOST:PORT, got {settings.listen!r}")
    if not (is_loopback(host) or settings.insecure):
        raise RequestError(
            "BAD_SETTING",
            f"listen must be a loopback address such as 127.0.0.1:{port}, got {settings.listen}: whoever reaches it "
            "may read and cancel every run; --insecure allows it",
        )
    if not settings.stalled_after_s > 0.0:
        raise RequestError("BAD_SETTING", f"stalled_after_s must be above 0, got {settings.stalled_after_s}")
    if not 0 <= settings.metrics_port <= 65535:
        raise RequestError("BAD_SETTING", f"metrics_port must be 0 to 65535, got {settings.metrics_port}")
    if not 0.0 < 3 * settings.heartbeat_interval_s <= settings.lease_duration_s <= 3600.0:
        raise RequestError(
            "BAD_SETTING",
            "lease_duration_s must be at least three heartbeats and at most an hour, "
            f"got {settings.lease_duration_s} with heartbeat_interval_s {settings.heartbeat_interval_s}",
        )
    if settings.store and not settings.store.startswith(("postgresql://", "postgres://")):
        sentence = "store must be postgresql://USER@HOST:PORT/DATABASE or empty, got something else"
        raise RequestError("BAD_SETTING", sentence)
    if not 1.0 <= settings.leader_silence_s <= 60.0:
        sentence = f"leader_silence_s must be 1 to 60, got {settings.leader_silence_s}"
        raise RequestError("BAD_SETTING", sentence)
    if not 0.0 <= settings.gathering_s <= 60.0:
        raise RequestError("BAD_SETTING", f"gathering_s must be 0 to 60, got {settings.gathering_s}")
    for name in ("run_age_limit_days", "store_size_limit_bytes", "final_runs_kept_min"):
        if not getattr(settings, name) >= 0:
            raise RequestError("BAD_SETTING", f"{name} must be 0 or more, got {getattr(settings, name)}")
    for name in POSITIVE:
        if getattr(settings, name) <= 0:
            raise RequestError("BAD_SETTING", f"{name} must be positive, got {getattr(settings, name)}")
    for tenant, weight in settings.tenant_weights.items():
        if not WEIGHT_MIN <= weight <= WEIGHT_MAX:
            sentence = f"the weight of a tenant must be {WEIGHT_MIN} to {WEIGHT_MAX}, got {weight} for {tenant!r}"
            raise RequestError("BAD_SETTING", sentence)
    if settings.log_level not in ("debug", "info", "warning", "error"):
        sentence = f"log_level must be debug, info, warning or error, got {settings.log_level!r}"
        raise RequestError("BAD_SETTING", sentence)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach *host*."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
