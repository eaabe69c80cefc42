"""`xip-worker`: parse options, attach, evaluate until told to leave.

Exit codes: 0 after a drain, 1 after a bug of the worker's own or when the event loop hangs, 2 for bad options, 143 when
a second signal cuts the drain short. A worker with a stuck slot does not exit: it replaces its process (`watchdogs`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import xip_core
from xip_worker.isolation_settings import IsolationSettings
from xip_worker.memory import keep_freed_memory
from xip_worker.settings import DEFAULT_SCHEDULER, LEVEL_NAMES, Settings, core_count, parse_schedulers

if TYPE_CHECKING:
    from xip_core.model.run_spec import KernelSignature

EXIT_CODE_FAILED = 1
EXIT_CODE_TERMINATED = 143


@click.command(context_settings={"auto_envvar_prefix": "XIP_WORKER", "help_option_names": ["-h", "--help"]})
@click.option(
    "--scheduler",
    default=DEFAULT_SCHEDULER,
    show_default=True,
    metavar="HOST:PORT[,...]",
    help="Scheduler to attach to; further ones are tried in turn.",
)
@click.option("--slots", type=click.IntRange(1, 1024), help="Leases evaluated at a time.  [default: a slot per core]")
@click.option(
    "--blob-cache-mib", type=click.IntRange(1), default=512, show_default=True, help="Books, markets, scenarios, plans."
)
@click.option(
    "--output-cache-mib", type=click.IntRange(1), default=256, show_default=True, help="Outputs of earlier nodes."
)
@click.option(
    "--drain-grace-s",
    type=click.FloatRange(0.0),
    default=20.0,
    show_default=True,
    help="After SIGTERM, for running leases to end.",
)
@click.option(
    "--isolated-time-s",
    type=click.FloatRange(0.1),
    default=IsolationSettings().time_limit_s,
    show_default=True,
    help="For a row that is suspected of killing workers, in a process of its own.",
)
@click.option(
    "--isolated-memory-mib",
    type=click.IntRange(64),
    default=IsolationSettings().memory_limit_bytes >> 20,
    show_default=True,
    help="Likewise, beyond its imports.",
)
@click.option("--log-level", type=click.Choice(tuple(LEVEL_NAMES)), default="info", show_default=True)
@click.version_option(xip_core.__version__, prog_name="xip-worker")
def main(
    scheduler: str,
    slots: int | None,
    blob_cache_mib: int,
    output_cache_mib: int,
    drain_grace_s: float,
    isolated_time_s: float,
    isolated_memory_mib: int,
    log_level: str,
) -> None:
    """Evaluate leases of a scheduler until SIGTERM, then hand back what has not begun and leave."""
    try:
        schedulers = parse_schedulers(scheduler)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--scheduler") from None
    settings = Settings(
        schedulers=schedulers,
        slot_count=slots or core_count(),
        blob_cache_bytes=blob_cache_mib << 20,
        output_cache_bytes=output_cache_mib << 20,
        drain_grace_s=drain_grace_s,
        log_level=log_level,
        isolation=IsolationSettings(isolated_time_s, isolated_memory_mib << 20),
    )
    run(settings)


SWITCH_INTERVAL_S = 0.001
"""A kernel's end or a message waits so long for a slot that runs Python; the interpreter's 5 ms add up along a run."""


GC_THRESHOLD = (50_000, 20, 50)
"""Resolving a tile makes some ten thousand tuples and no cycle; looking through them every 700 is 15 % of it."""


def run(settings: Settings) -> None:
    """Serve as a worker; ends the process without waiting for a slot that is still in a kernel."""
    import asyncio
    import os
    import sys

    # Before numpy is imported: slots are the parallelism here, a BLAS pool beside them would cost memory and cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Before grpc is imported: its notes on every lost connection would stand between our lines of JSON.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    keep_freed_memory()
    is_to_start_anew = asyncio.run(_serve(settings))
    sys.stdout.flush()
    sys.stderr.flush()
    if is_to_start_anew:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    os._exit(0)


def _added_kernels(log: Any) -> tuple[KernelSignature, ...]:
    """Signatures of the kernels that other packages added to this installation; those refused are logged."""
    from xip_core.kernels.installed import load_all

    added, refused = load_all()
    for kernel in refused:
        log.warning("kernel refused", kernel=kernel.name, package=kernel.package, sentence=kernel.sentence)
    if not added:
        return ()
    from xip_core.graph.kernel_table import signature_of

    log.info("kernels added", kernels={item.kernel.name: item.kernel.version for item in added})
    return tuple(signature_of(item.kernel) for item in added)


async def _serve(settings: Settings) -> bool:
    """True when the process is to be replaced by a new one of itself."""
    import asyncio
    import gc
    import importlib
    import os
    import secrets
    import signal
    import socket

    import xip_core
    from xip_core.kernel_versions import announced
    from xip_core.kernels.level import cpu_level
    from xip_worker.daemon import Daemon
    from xip_worker.logs import configured_log
    from xip_worker.messages import Identity
    from xip_worker.watchdogs import LoopWatch

    try:
        level = cpu_level()
    except RuntimeError as error:  # XIP_CPU_LEVEL names a level that this machine does not have
        raise click.UsageError(str(error)) from None
    host, pid = socket.gethostname(), os.getpid()
    worker_id = f"{host}-{pid}-{secrets.token_hex(3)}"
    log = configured_log(settings.log_level, worker=worker_id)
    about = (worker_id, settings.slot_count, level, xip_core.__version__, host, pid)
    identity = Identity(*about, announced(), _added_kernels(log))
    module, _, name = settings.isolation.evaluator.partition(":")
    daemon = Daemon(settings, identity, getattr(importlib.import_module(module), name)(), log)
    signals = iter(("first", "second"))

    def on_signal(number: signal.Signals) -> None:
        if next(signals, "more") != "first":
            log.warning("killed while draining", signal=number.name)
            os._exit(EXIT_CODE_TERMINATED)
        daemon.drain(number.name)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    log.info("worker started", slots=settings.slot_count, schedulers=settings.schedulers, cpu_level=level)
    gc.collect()
    gc.freeze()  # what was imported stays; collections then look only at what work leaves behind
    gc.set_threshold(*GC_THRESHOLD)
    watch = LoopWatch(loop, settings.loop_limit_s)
    try:
        await daemon.run()
    except Exception as error:
        log.error("worker failed", exc_info=error)
        os._exit(EXIT_CODE_FAILED)
    watch.close()
    return daemon.is_to_start_anew
