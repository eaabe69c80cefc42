"""A private PostgreSQL server from the binaries of this machine: made in a second, gone with the test run.

It lives in a temporary directory, listens on a free port of 127.0.0.1 and a socket of its own, asks for passwords over
TCP (so tests prove that ours travels), and runs as an unprivileged user when the tests run as root, because initdb and
postgres refuse root. Durability is left on: it is what the tests are about.

Without PostgreSQL the tests that need it are skipped with a sentence that says what to install; with
XIP_REQUIRE_POSTGRES=1, as CI sets it, they fail instead.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tests.patience import PATIENCE_S
from xip_scheduler.store.postgres_session import DatabaseAddress

REQUIRE_VARIABLE = "XIP_REQUIRE_POSTGRES"
USER = "xip"
PASSWORD = "not-in-any-log"
ADMINISTRATOR = "administrator"

_INITDB_OPTIONS = (
    "--no-sync",
    f"--username={ADMINISTRATOR}",
    "--auth-local=trust",
    "--auth-host=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
)

_EMPTY = """
DO $$
DECLARE name text;
BEGIN
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('meta', 'leader') LOOP
        EXECUTE format('DELETE FROM public.%I', name);
    END LOOP;
    UPDATE public.meta SET value = 0 WHERE meta.name <> 'schema_version';
    UPDATE public.leader SET term = 0, beat = 0, is_released = true, holder = '';
END $$
"""

_SETTINGS = {
    "shared_buffers": "32MB",
    "max_connections": "60",
    "fsync": "on",
    "log_min_messages": "warning",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "10s",
}


def find_binaries() -> Path | None:
    """Directory with initdb and postgres, the newest version first."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    if found := shutil.which("pg_config"):
        shown = subprocess.run([found, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()
        candidates.append(Path(shown))
    if found := shutil.which("postgres"):
        candidates.append(Path(found).resolve().parent)
    for directory in candidates:
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    return None


class PrivateServer:
    """See the head of this module; a context manager that stops the server and removes its directory."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.directory = Path(tempfile.mkdtemp(prefix="xip-pg-"))
        self._data = self.directory / "data"
        self._prefix: tuple[str, ...] = ()
        self._databases = itertools.count(1)
        if os.geteuid() == 0:
            owner = _unprivileged_user()
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
            ids = (f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups")
            self._prefix = ("setpriv", *ids, "--")
        self.port = _free_port()
        self.password_file = self.directory / "password"
        self.password_file.write_text(PASSWORD + "\n")
        try:
            self._run("initdb", *_INITDB_OPTIONS, f"--pgdata={self._data}")
            self.start()
            with self.administrator() as connection:
                connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")  # type: ignore[call-overload]  # built of constants
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> PrivateServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        options = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
        options += f" -c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.directory}"
        self._run("pg_ctl", "start", "-w", f"-D{self._data}", f"-o{options}", f"-l{self.directory / 'log'}")

    def stop(self, mode: str) -> None:
        """*mode* as of pg_ctl: smart, fast, or immediate, which is a crash."""
        self._run("pg_ctl", "stop", "-w", f"-D{self._data}", f"-m{mode}")

    def administrator(self, database: str = "postgres") -> psycopg.Connection:
        """A superuser's session, over the socket."""
        return psycopg.connect(
            host=str(self.directory), port=self.port, user=ADMINISTRATOR, dbname=database, autocommit=True
        )

    def new_database(self, port: int | None = None) -> DatabaseAddress:
        """The address of an empty database; *port* for a proxy in front of the server."""
        name = f"xip{next(self._databases)}"
        with self.administrator() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {USER}")  # type: ignore[call-overload]  # built of constants
        return self.address_of(name, port)

    def address_of(self, database: str, port: int | None = None) -> DatabaseAddress:
        return DatabaseAddress(
            f"postgresql://{USER}@127.0.0.1:{port or self.port}/{database}?sslmode=disable", str(self.password_file)
        )

    def empty(self, address: DatabaseAddress) -> None:
        """Make a used database like a new one with tables, 50 times cheaper than a new one; its sessions are ended."""
        with self.administrator(address.url.rpartition("/")[2].partition("?")[0]) as connection:
            connection.execute(_EMPTY)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._prefix, str(self._binaries / program), *arguments]
        with open(self.directory / "commands", "a+") as output:  # a pipe would be kept open by the server
            ended = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=PATIENCE_S, check=False,
                cwd=self.directory, env=os.environ | {"LC_ALL": "C"}, start_new_session=True,
            )  # fmt: skip
        if ended.returncode != 0:
            log = self.directory / "log"
            text = (self.directory / "commands").read_text() + (log.read_text() if log.exists() else "")
            raise AssertionError(f"{program} must succeed, ended with {ended.returncode}: {text[-2000:]}")

    def signal_sessions(self, name: str, kind: signal.Signals) -> int:
        """Send a signal to server processes of sessions with this application name; how many there were."""
        with self.administrator() as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = %s", (name,)
            ).fetchall()
        for (pid,) in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, kind)
        return len(found)


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("a user postgres or nobody must exist: the server refuses to run as root")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
