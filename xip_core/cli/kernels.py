"""xipctl kernels"""

from __future__ import annotations

import click

from xip_core.cli.options import output_option


@click.command("kernels")
@click.argument("name", required=False)
@output_option("table", "json")
def command(name: str | None, output: str) -> None:
    """List the pricing kernels of this installation, those of other packages included, or describe the kernel NAME."""
    from xip_core.errors import RequestError
    from xip_core.kernels import installed
    from xip_core.kernels.declarations import KERNELS

    added, refused = installed.load_all()
    kernels = (*KERNELS, *(item.kernel for item in added))
    by_name = {kernel.name: kernel for kernel in kernels}
    sentences = {kernel.name: kernel.sentence for kernel in refused}
    if name in sentences:
        raise RequestError("KERNEL_REFUSED", sentences[name])
    if name is not None and name not in by_name:
        raise RequestError("UNKNOWN_KERNEL", f"a kernel must be one of {', '.join(by_name)}, got {name!r}")
    for sentence in sentences.values():
        click.echo(f"refused: {sentence}", err=True)
    if output == "json":
        from xip_core.cli.data import print_json

        print_json(list(kernels) if name is None else by_name[name])
    elif name is None:
        from xip_core.cli.screen import print_kernels

        print_kernels(kernels)
    else:
        from xip_core.cli.screen import print_kernel

        print_kernel(by_name[name])
