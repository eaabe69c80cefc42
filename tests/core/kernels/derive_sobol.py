"""Where sobol_directions.h comes from: the direction numbers of S. Joe and F. Kuo, packed.

`python -m tests.core.kernels.derive_sobol _sobol_direction_numbers.npz > xip_core/kernels/sobol_directions.h` writes
the header from the table that scipy (BSD) bundles under that name: "poly", primitive polynomials with both end bits,
and "vinit", the odd numbers m_1 .. m_s, a row per dimension. The first dimension has none: its directions are powers
of 2.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

DIMENSION_COUNT = 1024
LINE_LENGTH = 118

HEAD = """\
/*
 * Direction numbers of Sobol's sequence, dimensions 2 to {count}: S. Joe and F. Kuo, Constructing Sobol sequences with
 * better two-dimensional projections, SIAM J. Sci. Comput. 30 (2008), their table new-joe-kuo-6 (Copyright (c) 2008
 * Frances Y. Kuo and Stephen Joe, BSD licence).
 *
 * A dimension is its primitive polynomial with both end bits, of degree s, then m_2 .. m_s; m_1 is 1.
 * Written by tests/core/kernels/derive_sobol.py.
 */
#ifndef XIP_SOBOL_DIRECTIONS_H
#define XIP_SOBOL_DIRECTIONS_H

#include <stdint.h>

#define XIP_SOBOL_DIMENSIONS {count}

static const uint16_t xip_sobol_table[] = {{"""

TAIL = """};

#endif"""


def packed(polynomials: np.ndarray, numbers: np.ndarray) -> Iterator[int]:
    for polynomial, row in zip(polynomials.tolist(), numbers.tolist(), strict=True):
        degree = polynomial.bit_length() - 1
        assert row[0] == 1, (polynomial, row)
        yield from (polynomial, *row[1:degree])


def lines(numbers: Iterator[int]) -> Iterator[str]:
    line = ""
    for number in numbers:
        if len(line) + len(str(number)) + 1 > LINE_LENGTH:
            yield line
            line = ""
        line += f"{number},"
    yield line


if __name__ == "__main__":
    with np.load(sys.argv[1]) as table:
        rows = slice(1, DIMENSION_COUNT)
        print(HEAD.format(count=DIMENSION_COUNT))
        print(*lines(packed(table["poly"][rows], table["vinit"][rows])), sep="\n")
        print(TAIL)
