"""`python -m xip_scheduler`."""

from xip_scheduler.main import main

main(prog_name="xip-scheduler")
