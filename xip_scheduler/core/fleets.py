"""Active workers counted by what they announced: see `kernels`."""

from __future__ import annotations

import functools

from xip_core.kernel_versions import Versions

KernelSet = frozenset[tuple[str, str]]
"""(name, version) pairs; a frozenset keeps its hash, so looking one up costs as much as looking up an object."""

REQUIREMENTS_KEPT_MAX = 1_024
"""Distinct requirements of live and past plans: some ten per version of the planner."""


@functools.lru_cache(maxsize=REQUIREMENTS_KEPT_MAX)
def kernel_set(versions: Versions) -> KernelSet:
    """Equal versions give the same object, so that sets are told apart by their identity nearly always."""
    return frozenset(versions)


class Fleets:
    """
    Attributes:
        has_changed: a fleet came or went since somebody last looked.
    """

    __slots__ = ("_answers", "_sizes", "has_changed")

    def __init__(self) -> None:
        self._sizes: dict[KernelSet, int] = {}
        self._answers: dict[KernelSet, int] = {}
        self.has_changed = False

    @property
    def is_mixed(self) -> bool:
        return len(self._sizes) > 1

    def enter(self, announced: KernelSet) -> None:
        """One more active worker."""
        size = self._sizes.get(announced, 0)
        self._sizes[announced] = size + 1
        self._answers.clear()
        self.has_changed = self.has_changed or size == 0

    def leave(self, announced: KernelSet) -> None:
        size = self._sizes.pop(announced)
        if size > 1:
            self._sizes[announced] = size - 1
        self._answers.clear()
        self.has_changed = self.has_changed or size == 1

    def count(self, needed: KernelSet) -> int:
        """Active workers that announced all of *needed*."""
        answer = self._answers.get(needed)
        if answer is None:
            if len(self._answers) >= REQUIREMENTS_KEPT_MAX:
                self._answers.clear()
            answer = sum(size for announced, size in self._sizes.items() if needed <= announced)
            self._answers[needed] = answer
        return answer

    def announced(self) -> KernelSet:
        """Everything that any active worker has."""
        return frozenset().union(*self._sizes)

    def sizes(self) -> dict[KernelSet, int]:
        return dict(self._sizes)
