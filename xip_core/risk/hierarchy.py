"""Leaf vectors to any keys of a hierarchy.

A **leaf** is a distinct combination of keys (desk "rates", book "B7", currency "EUR"); its vector is the sum of its
rows. Whatever is asked by fewer keys is a sum of leaves, so rows are read once however many groupings there are. Leaves
are added in their order, left to right; groups come in the order of their first leaf.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import ArgumentError

Key = tuple[str, ...]


class Grouping(msgspec.Struct, frozen=True):
    """Which group each leaf is of.

    Attributes:
        keys: of each group, in the order of their first leaf.
        group_of_leaf: int64 (leaves,).
    """

    keys: tuple[Key, ...]
    group_of_leaf: npt.NDArray[np.int64]


def group_leaves(leaf_keys: Sequence[Key], by: Sequence[int]) -> Grouping:
    """
    Groups of leaves that are equal in the key parts *by*; with no part, one group of all.

    Args:
        leaf_keys: one a leaf, all of one length.
        by: positions of the parts.

    Raises:
        ArgumentError: MISSING_HIERARCHY_KEY, a leaf has no such part.
    """
    groups: dict[Key, int] = {}
    found = np.empty(len(leaf_keys), np.int64)
    for leaf, key in enumerate(leaf_keys):
        for part in by:
            if not 0 <= part < len(key):
                sentence = f"leaf {leaf} must have a part {part} of its key, got {key!r}"
                raise ArgumentError("MISSING_HIERARCHY_KEY", sentence)
        chosen = tuple(key[part] for part in by)
        found[leaf] = groups.setdefault(chosen, len(groups))
    return Grouping(tuple(groups), found)


def sum_leaves(leaves: np.ndarray, grouping: Grouping) -> np.ndarray:
    """
    Sums of leaf vectors per group.

    Args:
        leaves: (leaves,) or (leaves, S), numbers; P&Ls, or counts of rows.

    Returns:
        (groups,) or (groups, S) of the same dtype.

    Raises:
        ArgumentError: BAD_SHAPE.
    """
    if len(leaves) != len(grouping.group_of_leaf):
        sentence = f"leaves must be {len(grouping.group_of_leaf)} vectors as grouped, got {leaves.shape}"
        raise ArgumentError("BAD_SHAPE", sentence)
    sums = np.zeros((len(grouping.keys), *leaves.shape[1:]), leaves.dtype)
    for leaf, group in enumerate(grouping.group_of_leaf.tolist()):
        sums[group] += leaves[leaf]
    return sums
