"""xipctl: price a book, look at runs and workers.

Start-up is paid by every call, so a command's module is imported when the command is called: `xipctl --help` reads the
table below and imports click alone.

    exit code   meaning
    0           the run is complete, or the command did what it was asked
    1           the run failed or was cancelled, or the command could not do it; one sentence on stderr says why
    2           the command line is wrong
    3           the run is complete, some cells are quarantined; the market is calibrated, some objects are refused
    130, 143    stopped by Ctrl-C or SIGTERM
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from xip_core import __version__

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

COMMANDS = {
    "run": "Price a book: a sample, tables or an ORE directory.",
    "plan": "Show what a run would be, without running it.",
    "runs": "List runs, newest first.",
    "watch": "Follow a run until it is final.",
    "results": "Print the numbers of a run.",
    "cancel": "Cancel a run.",
    "pause": "Stop leasing work of a run; what runs is finished.",
    "resume": "Go on with a paused run.",
    "retry": "Compute what a final run lacks, in a new run.",
    "explain": "Where the time of a run went, and what it took over.",
    "lineage": "Everything one number rests on.",
    "repro": "Write the inputs of one cell, and evaluate it here.",
    "workers": "List the attached workers.",
    "store": "Check the data directory of a stopped scheduler.",
    "kernels": "List the pricing kernels, or describe one.",
    "calibration": "Calibrate a market here and show how well it fits.",
    "evaluate": "Evaluate a kernel for every row of a table.",
    "suitability": "Judge client portfolios by the limits of their profiles.",
    "pnl": "Explain the P&L of a book between two snapshots.",
    "scenarios": "Make scenario sets from files, and show what a set holds.",
}
"""Command to one line of help; the command lives in the module of its name."""


class LazyGroup(click.Group):
    """Imports the module of a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"xip_core.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 complete, 3 complete with quarantine, 1 failed, 2 wrong command line.",
)
@click.version_option(__version__, prog_name="xipctl")
def xipctl() -> None:
    """Cross-asset risk runs on XiP.

    Try: xipctl run sample:cross-asset --local
    """


def main() -> None:
    """Entry point. Leaves without the interpreter's own tidying up: 0.1 s with gRPC loaded, for nothing."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # or a scheduler that restarts leaves a line of gRPC's own here
    code = run_command(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def run_command(arguments: list[str]) -> int:
    """Exit code of xipctl with *arguments*; no error ends in a traceback."""
    try:
        code: int | None = xipctl.main(args=arguments, prog_name="xipctl", standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as in `xipctl runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that flushing it is no error either
        code = EXIT_FAILED
    except Exception as error:
        from xip_core.errors import XipError

        if not isinstance(error, (XipError, OSError)):
            raise  # a defect: its traceback is what we need to see
        click.echo(f"xipctl: {error}", err=True)
        code = EXIT_FAILED
    return code or 0


if __name__ == "__main__":
    main()
