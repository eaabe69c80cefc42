/*
 * Sobol's sequence in Gray-code order, scrambled, any point at once.
 *
 * Point i is the exclusive or of the directions v_b over the bits b of gray(i) = i ^ (i >> 1). A scrambled direction is
 * a random lower triangular bit matrix times v_b (Matousek), and every point is shifted by a random word: the variance
 * of Owen's nested scrambling at the price of plain Sobol, since only directions are scrambled. Directions have 32
 * bits, the matrix 64 rows, so scrambled points are uniform on 64 bits. Column p of the matrix meets v_b only where
 * b >= p: a point does not depend on how many points are taken.
 *
 * Randomness of (seed, replicate, dimension): Philox under the key (seed, replicate), counter (pair of words,
 * dimension, 1, 0).
 *
 * Sources: I. Antonov and V. Saleev, USSR Comput. Maths. Math. Phys. 19 (1979); J. Matousek, On the L2-discrepancy for
 * anchored boxes, J. Complexity 14 (1998); A. Owen, Variance with alternative scramblings of digital nets, ACM Trans.
 * Model. Comput. Simul. 13 (2003).
 */
#ifndef XIP_SOBOL_H
#define XIP_SOBOL_H

#include "normals.h"
#include "sobol_directions.h"

#define XIP_SOBOL_BITS 32

/* Where a dimension's numbers begin in the table; dimensions are visited in order. */
typedef struct {
    int dimension, place;
} xip_sobol_cursor;

/* The 32 directions of the next dimension, the highest bit first; 0 where there is none. */
static inline __attribute__((unused)) int xip_sobol_next(xip_sobol_cursor *cursor, uint32_t *directions)
{
    uint32_t polynomial, direction;
    int degree, bit, back;

    if (cursor->dimension >= XIP_SOBOL_DIMENSIONS)
        return 0;
    if (cursor->dimension++ == 0) {
        for (bit = 0; bit < XIP_SOBOL_BITS; bit++)
            directions[bit] = 1u << (31 - bit);
        return 1;
    }
    polynomial = xip_sobol_table[cursor->place++];
    degree = 31 - __builtin_clz(polynomial);
    directions[0] = 1u << 31;
    for (bit = 1; bit < degree; bit++)
        directions[bit] = (uint32_t)xip_sobol_table[cursor->place++] << (31 - bit);
    for (bit = degree; bit < XIP_SOBOL_BITS; bit++) {
        direction = directions[bit - degree] ^ (directions[bit - degree] >> degree);
        for (back = 1; back < degree; back++)
            direction ^= ((polynomial >> (degree - back)) & 1u) * directions[bit - back];
        directions[bit] = direction;
    }
    return 1;
}

/* bit_count scrambled directions of one dimension; returns the shift. */
static inline __attribute__((unused)) uint64_t xip_sobol_scramble(
    const uint32_t *directions, int bit_count, uint32_t seed, uint32_t replicate, int dimension, uint64_t *scrambled)
{
    uint64_t words[XIP_SOBOL_BITS + 2], row, word;
    int pair, bit, digit;

    for (pair = 0; pair <= bit_count / 2; pair++) {
        uint64_t counter[4] = {(uint64_t)pair, (uint64_t)dimension, 1, 0}, block[4];

        xip_philox(counter, seed, replicate, block);
        words[2 * pair] = block[0] << 32 | block[1];
        words[2 * pair + 1] = block[2] << 32 | block[3];
    }
    for (bit = 0; bit < bit_count; bit++)
        scrambled[bit] = 0;
    for (digit = 0; digit < bit_count; digit++) {
        row = (words[digit + 1] >> digit >> 1) | (0x8000000000000000u >> digit);
        for (bit = digit; bit < bit_count; bit++) {
            word = (directions[bit] >> (31 - digit)) & 1u;
            scrambled[bit] ^= row & (0 - word);
        }
    }
    return words[0];
}

XIP_INLINE uint64_t xip_gray(uint64_t index)
{
    return index ^ (index >> 1);
}

/* Point index, unshifted. */
static inline __attribute__((unused)) uint64_t xip_sobol_point(const uint64_t *scrambled, int bit_count, uint64_t index)
{
    uint64_t gray = xip_gray(index), point = 0;
    int bit;

    for (bit = 0; bit < bit_count; bit++)
        point ^= scrambled[bit] & (0 - ((gray >> bit) & 1u));
    return point;
}

#endif
