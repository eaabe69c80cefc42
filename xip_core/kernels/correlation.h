/*
 * Factors of a correlation matrix of up to three assets.
 *
 * xip_cholesky       C = A A', for positive semidefinite C: a pivot that vanishes to rounding leaves a column of zeros
 *                    where the rest of its column vanishes too.
 * xip_common_factor  C = L L' with a first column that is nowhere negative: a common factor that lifts every asset.
 *                    With w the long-only portfolio of least variance, w'C w = v, the first column is C w / sqrt(v),
 *                    and C w >= v in every component (Kuhn and Tucker): each asset loads at least sqrt(v). L = A H, H
 *                    the Householder reflection that sends the first axis to A'w / sqrt(v). Where v vanishes no asset
 *                    loads: L = [0 | A].
 */
#ifndef XIP_CORRELATION_H
#define XIP_CORRELATION_H

#include "monte_carlo.h"

#define XIP_ASSETS_MAX 3
#define XIP_FACTORS_MAX 4
#define XIP_PIVOT_MIN 1e-12             /* below it a pivot is rounding */
#define XIP_COMMON_MIN 1e-8             /* below it no common factor is taken out */

typedef double xip_square[XIP_ASSETS_MAX][XIP_ASSETS_MAX];

/* 1.0 where the matrix is positive semidefinite. */
XIP_STATIC double xip_cholesky(int count, xip_square matrix, xip_square root)
{
    double is_good = 1.0, sum;
    int row, column, k;

    for (column = 0; column < count; column++)
        for (row = 0; row < count; row++) {
            if (row < column) {
                root[row][column] = 0.0;
                continue;
            }
            sum = matrix[row][column];
            for (k = 0; k < column; k++)
                sum -= root[row][k] * root[column][k];
            if (row == column) {
                is_good = sum >= -XIP_PIVOT_MIN ? is_good : 0.0;
                root[row][row] = sum > XIP_PIVOT_MIN ? __builtin_sqrt(sum) : 0.0;
            } else if (root[column][column] > 0.0) {
                root[row][column] = sum / root[column][column];
            } else {
                is_good = sum * sum <= XIP_PIVOT_MIN ? is_good : 0.0;
                root[row][column] = 0.0;
            }
        }
    return is_good;
}

/* Weights of the long-only portfolio of least variance, the variance returned. */
XIP_STATIC double xip_least_variance(int count, xip_square c, double *weight)
{
    double sum = 0.0, variance = 0.0;
    int i, j, first = 0, second = 1, is_inside;

    for (i = 0; i < XIP_ASSETS_MAX; i++)
        weight[i] = i < count ? 1.0 : 0.0;
    if (count == 3) {                       /* inside: C w = 1, by cofactors */
        weight[0] = (1.0 - c[1][2] * c[1][2]) + (c[0][2] * c[1][2] - c[0][1]) + (c[0][1] * c[1][2] - c[0][2]);
        weight[1] = (1.0 - c[0][2] * c[0][2]) + (c[0][2] * c[1][2] - c[0][1]) + (c[0][1] * c[0][2] - c[1][2]);
        weight[2] = (1.0 - c[0][1] * c[0][1]) + (c[0][1] * c[1][2] - c[0][2]) + (c[0][1] * c[0][2] - c[1][2]);
        is_inside = weight[0] > XIP_PIVOT_MIN && weight[1] > XIP_PIVOT_MIN && weight[2] > XIP_PIVOT_MIN;
        if (!is_inside) {                   /* on an edge: two assets in halves, those that hedge best */
            if (c[0][2] < c[first][second])
                second = 2;
            if (c[1][2] < c[first][second]) {
                first = 1;
                second = 2;
            }
            for (i = 0; i < count; i++)
                weight[i] = i == first || i == second ? 1.0 : 0.0;
        }
    }
    for (i = 0; i < count; i++)
        sum += weight[i];
    for (i = 0; i < count; i++)
        weight[i] /= sum;
    for (i = 0; i < count; i++)
        for (j = 0; j < count; j++)
            variance += weight[i] * weight[j] * c[i][j];
    return variance;
}

/* Loadings [asset][factor]; returns the number of factors, 0 where C is not positive semidefinite. */
XIP_STATIC int xip_common_factor(int count, xip_square c, double loading[XIP_ASSETS_MAX][XIP_FACTORS_MAX])
{
    double weight[XIP_ASSETS_MAX], mirror[XIP_ASSETS_MAX], variance, scale, norm = 0.0, along;
    xip_square root;
    int i, j;

    if (xip_cholesky(count, c, root) == 0.0)
        return 0;
    variance = xip_least_variance(count, c, weight);
    if (variance < XIP_COMMON_MIN) {
        for (i = 0; i < count; i++) {
            loading[i][0] = 0.0;
            for (j = 0; j < count; j++)
                loading[i][j + 1] = root[i][j];
        }
        return count + 1;
    }
    scale = 1.0 / __builtin_sqrt(variance);
    for (j = 0; j < count; j++) {
        mirror[j] = 0.0;
        for (i = 0; i < count; i++)
            mirror[j] += root[i][j] * weight[i] * scale;
    }
    mirror[0] -= 1.0;
    for (j = 0; j < count; j++)
        norm += mirror[j] * mirror[j];
    norm = norm > 0.0 ? 2.0 / norm : 0.0;
    for (i = 0; i < count; i++) {
        along = 0.0;
        for (j = 0; j < count; j++)
            along += root[i][j] * mirror[j];
        for (j = 0; j < count; j++)
            loading[i][j] = root[i][j] - norm * along * mirror[j];
        loading[i][0] = loading[i][0] > 0.0 ? loading[i][0] : 0.0;     /* rounding */
    }
    return count;
}

#endif
