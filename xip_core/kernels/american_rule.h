/*
 * Nodes, quadratures and interpolation matrices of american.h, computed once at import.
 *
 * Only + - * / and sqrt, in a fixed order: the same bits on every machine and at every level. Cosines come from their
 * series, Gauss-Legendre nodes from Newton's method on the recurrence of the polynomials, rows of interpolation from
 * the barycentric formula.
 *
 * Integrals over v in (0, t) run in the angle whose sine is sqrt(v / t): v = t sin^2, u = t - v = t cos^2. What is
 * smooth in sqrt(v) and in sqrt(u) is smooth in the angle at both ends.
 */
#ifndef XIP_AMERICAN_RULE_H
#define XIP_AMERICAN_RULE_H

#include "elementary.h"

#define XIP_HALF_PI 0x1.921fb54442d18p+0
#define XIP_COARSE 6                     /* nodes of the first boundary, and points of its integrals */
#define XIP_MIDDLE 10
#define XIP_NODES 16                     /* of the last */
#define XIP_COARSE_POINTS 6
#define XIP_MIDDLE_POINTS 8
#define XIP_POINTS 12
#define XIP_STIFF_POINTS 16
#define XIP_PREMIUM_POINTS 64
#define XIP_PANEL_POINTS 32
#define XIP_POINTS_MAX 64

/* Gauss-Legendre in the angle: sines, cosines and weights of an integral over v / t in (0, 1). */
typedef struct {
    int count;
    double sine[XIP_POINTS_MAX], cosine[XIP_POINTS_MAX], weight[XIP_POINTS_MAX];
    double place[XIP_POINTS_MAX], share[XIP_POINTS_MAX];     /* nodes and weights on (0, 1) as they are */
} xip_angles;

/* A boundary's nodes (square roots of time, the last is 1) and what its equations need. */
typedef struct {
    int node_count;
    xip_angles angles;
    double node[XIP_NODES];
    double root[XIP_NODES][XIP_STIFF_POINTS];            /* sqrt(v) of a point */
    double per_root[XIP_NODES][XIP_STIFF_POINTS];
    double row[XIP_NODES][XIP_STIFF_POINTS][XIP_NODES];  /* value at sqrt(u) of a point from those at the nodes */
} xip_grid;

static xip_grid xip_coarse_grid, xip_middle_grid, xip_fine_grid, xip_stiff_grid;
static double xip_to_middle[XIP_NODES][XIP_NODES];       /* values at the middle grid's nodes from the coarse one's */
static double xip_to_fine[XIP_NODES][XIP_NODES];
static xip_angles xip_premium, xip_panel;
static double xip_premium_row[XIP_PREMIUM_POINTS][XIP_NODES];

/* cos x, 0 <= x <= pi / 2, by its series from the smallest term. */
static double xip_cosine(double x)
{
    double square = x * x, sum = 1.0;
    int n;

    for (n = 28; n > 0; n -= 2)
        sum = 1.0 - sum * square / (double)(n * (n - 1));
    return sum;
}

/* Nodes and weights on (0, 1), carried over to the angle. */
static void xip_set_angles(xip_angles *angles, int count)
{
    int i, n, turn;

    angles->count = count;
    for (i = 0; i < count; i++) {
        double x, before, value, next, slope = 1.0;

        /* From above pi / 2 the cosine is that of the mirrored angle, negative. */
        double turned = XIP_HALF_PI * 2.0 * ((double)i + 0.75) / ((double)count + 0.5);
        x = turned > XIP_HALF_PI ? -xip_cosine(2.0 * XIP_HALF_PI - turned) : xip_cosine(turned);
        for (turn = 0; turn < 8; turn++) {
            before = 1.0;
            value = x;
            for (n = 2; n <= count; n++) {
                next = ((double)(2 * n - 1) * x * value - (double)(n - 1) * before) / (double)n;
                before = value;
                value = next;
            }
            slope = (double)count * (x * value - before) / (x * x - 1.0);
            x = x - value / slope;
        }
        {
            double angle = XIP_HALF_PI * 0.5 * (1.0 - x);

            angles->place[i] = 0.5 * (1.0 - x);
            angles->share[i] = 1.0 / ((1.0 - x * x) * slope * slope);
            angles->sine[i] = xip_cosine(XIP_HALF_PI - angle);
            angles->cosine[i] = xip_cosine(angle);
            /* dv = 2 sin cos d(angle); the weight of Gauss is 2 / ((1 - x^2) slope^2) on (-1, 1) */
            angles->weight[i] = XIP_HALF_PI * 2.0 * angles->sine[i] * angles->cosine[i]
                                * angles->share[i];
        }
    }
}

/* sqrt(u) of Chebyshev's extrema on (0, 1); the one at 0, where the function vanishes, is left out. */
static void xip_set_nodes(double *node, int count)
{
    int i;

    for (i = 1; i <= count; i++) {
        double half = xip_cosine(XIP_HALF_PI * (double)(count - i) / (double)count);

        node[i - 1] = half * half;       /* (1 - cos(pi i / n)) / 2 */
    }
}

/* Weights with which values at the nodes give that at x: barycentric, with a value of 0 at 0. */
static void xip_set_row(double *row, const double *node, int count, double x)
{
    double sum, sign = -1.0;
    int i, hit = -1;

    sum = 0.5 / x;
    for (i = 0; i < count; i++) {
        double gap = x - node[i];

        if (gap < 1e-14 && gap > -1e-14)
            hit = i;
        row[i] = sign * (i == count - 1 ? 0.5 : 1.0) / gap;
        sum += row[i];
        sign = -sign;
    }
    for (i = 0; i < count; i++)
        row[i] = hit < 0 ? row[i] / sum : (hit == i ? 1.0 : 0.0);
}

static void xip_set_grid(xip_grid *grid, int node_count, int point_count)
{
    int i, k;

    grid->node_count = node_count;
    xip_set_angles(&grid->angles, point_count);
    xip_set_nodes(grid->node, node_count);
    for (i = 0; i < node_count; i++)
        for (k = 0; k < point_count; k++) {
            grid->root[i][k] = grid->node[i] * grid->angles.sine[k];
            grid->per_root[i][k] = 1.0 / grid->root[i][k];
            xip_set_row(grid->row[i][k], grid->node, node_count, grid->node[i] * grid->angles.cosine[k]);
        }
}

static void xip_set_american_rules(void)
{
    int i;

    xip_set_grid(&xip_coarse_grid, XIP_COARSE, XIP_COARSE_POINTS);
    xip_set_grid(&xip_middle_grid, XIP_MIDDLE, XIP_MIDDLE_POINTS);
    xip_set_grid(&xip_fine_grid, XIP_NODES, XIP_POINTS);
    xip_set_grid(&xip_stiff_grid, XIP_NODES, XIP_STIFF_POINTS);
    xip_set_angles(&xip_premium, XIP_PREMIUM_POINTS);
    xip_set_angles(&xip_panel, XIP_PANEL_POINTS);
    for (i = 0; i < XIP_MIDDLE; i++)
        xip_set_row(xip_to_middle[i], xip_coarse_grid.node, XIP_COARSE, xip_middle_grid.node[i]);
    for (i = 0; i < XIP_NODES; i++)
        xip_set_row(xip_to_fine[i], xip_middle_grid.node, XIP_MIDDLE, xip_fine_grid.node[i]);
    for (i = 0; i < XIP_PREMIUM_POINTS; i++)
        xip_set_row(xip_premium_row[i], xip_fine_grid.node, XIP_NODES, xip_premium.cosine[i]);
}

#endif
