"""`python -m xip_worker` is `xip-worker`."""

from xip_worker.main import main

main(prog_name="xip-worker")
