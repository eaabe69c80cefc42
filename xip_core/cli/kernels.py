"""xipctl kernels"""

from __future__ import annotations

import click

from xip_core.cli.options import output_option


@click.command("kernels")
@click.argument("name", required=False)
@output_option("table", "json")
def command(name: str | None, output: str) -> None:
    """List the pricing kernels of this installation, or describe the kernel NAME."""
    from xip_core.errors import RequestError
    from xip_core.kernels.declarations import KERNELS

    by_name = {kernel.name: kernel for kernel in KERNELS}
    if name is not None and name not in by_name:
        raise RequestError("UNKNOWN_KERNEL", f"a kernel must be one of {', '.join(by_name)}, got {name!r}")
    if output == "json":
        from xip_core.cli.data import print_json

        print_json(list(KERNELS) if name is None else by_name[name])
    elif name is None:
        from xip_core.cli.screen import print_kernels

        print_kernels(KERNELS)
    else:
        from xip_core.cli.screen import print_kernel

        print_kernel(by_name[name])
