"""What workers said of kernels that other packages added to them, for the planner.

The scheduler imports no such package: a worker that attaches brings the signatures, the planner reads them. A name
keeps the last signature heard, whoever left since: a run planned with it then waits for a worker that has it, and says
so. After a restart they come back with the workers, within seconds; a client that has the package needs none of this,
its request carries the signature.
"""

from __future__ import annotations

from collections.abc import Iterable

from xip_core.model.run_spec import KernelSignature

SIGNATURES_MAX = 10_000
"""A few MB; beyond it the name heard longest ago goes."""


class KernelSignatures:
    """By kernel name; written and read in the event loop alone."""

    def __init__(self) -> None:
        self._by_name: dict[str, KernelSignature] = {}

    def learn(self, signatures: Iterable[KernelSignature]) -> None:
        """
        Raises:
            RequestError: BAD_SIGNATURE; nothing is learnt.
        """
        heard = list(signatures)
        if heard:
            from xip_core.graph.kernel_table import check_signature  # the catalogue: not before a worker needs it

            for signature in heard:
                check_signature(signature)
        for signature in heard:
            self._by_name.pop(signature.name, None)
            self._by_name[signature.name] = signature
        while len(self._by_name) > SIGNATURES_MAX:
            del self._by_name[next(iter(self._by_name))]

    def by_name(self) -> dict[str, KernelSignature]:
        """A copy, for the planner's thread."""
        return dict(self._by_name)
