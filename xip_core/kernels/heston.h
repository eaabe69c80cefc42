/*
 * Heston's model: dS = (r - q) S dt + sqrt(v) S dW, dv = kappa (theta - v) dt + sigma sqrt(v) dB, d<W, B> = rho dt.
 *
 * With X = ln(S_T / F) the moments are E[e^(zX)] = exp(v0 B + kappa theta A), z any complex number of a strip:
 *
 *   q = z^2 - z,  beta = kappa - rho sigma z,  d = sqrt(beta^2 - sigma^2 q), Re d >= 0
 *   r = q / (beta + d) = (beta - d) / sigma^2,  E = (1 - e^(-dT)) / (2 d),  L = 1 + sigma^2 r E
 *   B = q E / L,  A = r T - 2 ln(L) / sigma^2
 *
 * This is the form with e^(-dT) ("little trap": Albrecher, Mayer, Schoutens, Tistaert 2007), whose logarithm stays on
 * one branch. The derivatives to beta (where rho and kappa enter) and to sigma^2 are closed forms in the same numbers,
 * as in Cui, del Bano Rollin and Germano, Full and fast calibration of the Heston model, EJOR 263 (2017).
 *
 * Nothing is divided by sigma^2 or by d, and no difference of nearly equal numbers is taken, so all of it holds at
 * sigma = 0 (Black with the average variance), |rho| = 1 and any time. With w = dT, phi = (1 - e^(-w)) / w, phi' its
 * derivative,
 *
 *   p(w) = (phi / 2 + phi') / w = 1/12 - w/24 + ...,  1 - phi = w (phi / 2 + w p),
 *   phi^2 + 2 phi' = w u,  u = 2 p - phi (phi / 2 + w p) = -1/3 + ...
 *
 * give, with s = sigma^2 r E = L - 1 and x = r E,
 *
 *   dB/dbeta = (q / L^2) (beta T^3 u / 4 - E^2)         dB/dsigma^2 = -(q / L)^2 T^3 u / 8
 *   dA/dbeta = -q T^3 p / L                             dA/dsigma^2 = (r T^3 / L) (q p / 2 + r d u / 4) + x^2 c(s)
 *   dB/dT = q e^(-w) / (2 L^2)                          dA/dT = r (1 - e^(-w) / L)
 *
 * where c(s) = 2 (ln(L) / s - 1 / L) / s - 1 / L = -s/3 + ...
 */
#ifndef XIP_HESTON_H
#define XIP_HESTON_H

#include "complex_numbers.h"

#define XIP_NEAR_ZERO_ROOT 1e-15        /* least |d T|: at a zero of d on the real axis everything is even in d */
#define XIP_SERIES_ANGLE 0.0625         /* |w|^2 below which p is summed as a series: its tenth term is 1e-15 of it */
#define XIP_SERIES_SHIFT 1e-8           /* |s|^2 below which ln(L) / s and c are */

typedef struct {
    double time;
    double v0;
    double kappa;
    double theta;
    double sigma;
    double rho;
} Model;

/* What the exponent and its derivatives share at one z. */
typedef struct {
    Complex q;
    Complex beta;
    Complex d;
    Complex power;              /* e^(-dT) */
    Complex e;                  /* E */
    Complex p;
    Complex u;
    Complex r;
    Complex l_inverse;          /* 1 / L */
    Complex c;
    Complex a;                  /* A */
    Complex b;                  /* B */
} Exponent;

typedef struct {
    Complex to_v0;
    Complex to_kappa;
    Complex to_theta;
    Complex to_sigma;
    Complex to_rho;
    Complex to_time;
} Gradient;

XIP_INLINE Complex xip_fall_curve(Complex w, Complex phi)
{
    Complex series = c_make(-1.0 / 95800320.0, 0.0), direct, inverse;
    double is_small = c_square_size(w) < XIP_SERIES_ANGLE ? 1.0 : 0.0;

    series = c_shift(1.0 / 8870400.0, c_mul(series, w));
    series = c_shift(-1.0 / 907200.0, c_mul(series, w));
    series = c_shift(1.0 / 103680.0, c_mul(series, w));
    series = c_shift(-1.0 / 13440.0, c_mul(series, w));
    series = c_shift(1.0 / 2016.0, c_mul(series, w));
    series = c_shift(-1.0 / 360.0, c_mul(series, w));
    series = c_shift(1.0 / 80.0, c_mul(series, w));
    series = c_shift(-1.0 / 24.0, c_mul(series, w));
    series = c_shift(1.0 / 12.0, c_mul(series, w));
    inverse = c_inverse(c_select(is_small, c_make(1.0, 0.0), w));
    direct = c_mul(c_fma(-0.5, phi, c_mul(c_make(1.0 - phi.re, -phi.im), inverse)), inverse);
    return c_select(is_small, series, direct);
}

/* 1 - ln(1 + s) / s; *c is the function c(s) above. */
XIP_INLINE Complex xip_log_rest(Complex s, Complex l_inverse, Complex *c)
{
    double is_small = c_square_size(s) < XIP_SERIES_SHIFT ? 1.0 : 0.0;
    Complex guarded = c_select(is_small, c_make(1.0, 0.0), s), inverse = c_inverse(guarded);
    Complex quotient = c_mul(c_log1p(guarded), inverse), series;

    series = c_mul(c_shift(-1.0 / 3.0, c_mul(c_shift(0.5, c_scale(-0.6, s)), s)), s);
    *c = c_sub(c_scale(2.0, c_mul(c_sub(quotient, l_inverse), inverse)), l_inverse);
    *c = c_select(is_small, series, *c);
    series = c_mul(c_shift(0.5, c_mul(c_shift(-1.0 / 3.0, c_scale(0.25, s)), s)), s);
    return c_select(is_small, series, c_make(1.0 - quotient.re, -quotient.im));
}

XIP_INLINE Exponent heston_exponent(Model m, Complex z)
{
    Exponent at;
    Complex w, s, rest, phi, half;
    double d_min = XIP_NEAR_ZERO_ROOT / m.time, variance = m.sigma * m.sigma, is_aligned;

    at.q = c_sub(c_mul(z, z), z);
    at.beta = c_make(__builtin_fma(-m.rho * m.sigma, z.re, m.kappa), -m.rho * m.sigma * z.im);
    /* d^2 = kappa^2 + sigma z (sigma - 2 kappa rho - sigma (1 - rho^2) z): z^2 does not cancel at |rho| = 1. */
    at.d = c_shift(m.sigma - 2.0 * m.kappa * m.rho, c_scale(-m.sigma * ((1.0 - m.rho) * (1.0 + m.rho)), z));
    at.d = c_sqrt(c_shift(m.kappa * m.kappa, c_mul(c_scale(m.sigma, z), at.d)));
    at.d.re = c_square_size(at.d) < d_min * d_min ? d_min : at.d.re;
    w = c_scale(m.time, at.d);
    phi = c_mul(c_one_minus_exp(w, &at.power), c_inverse(w));
    at.e = c_scale(0.5 * m.time, phi);
    at.p = xip_fall_curve(w, phi);
    half = c_fma(0.5, phi, c_mul(w, at.p));                                 /* (1 - phi) / w */
    at.u = c_sub(c_scale(2.0, at.p), c_mul(phi, half));
    /* r, by that of its two forms in which beta and d do not cancel. */
    is_aligned = __builtin_fma(at.beta.re, at.d.re, at.beta.im * at.d.im) >= 0.0 ? 1.0 : 0.0;
    at.r = c_mul(at.q, c_inverse(c_select(is_aligned, c_add(at.beta, at.d), c_make(1.0, 0.0))));
    at.r = c_select(is_aligned, at.r, c_scale(1.0 / (variance > 0.0 ? variance : 1.0), c_sub(at.beta, at.d)));
    s = c_scale(variance, c_mul(at.r, at.e));
    at.l_inverse = c_inverse(c_shift(1.0, s));
    rest = xip_log_rest(s, at.l_inverse, &at.c);
    at.b = c_mul(c_mul(at.q, at.e), at.l_inverse);
    /* A = r (T - 2 E ln(L) / s), and T - 2 E = T (1 - phi). */
    at.a = c_mul(at.r, c_fma(m.time, c_mul(w, half), c_scale(2.0, c_mul(at.e, rest))));
    return at;
}

/* ln E[e^(zX)]. */
XIP_INLINE Complex heston_log_moment(Model m, Complex z)
{
    Exponent at = heston_exponent(m, z);

    return c_fma(m.v0, at.b, c_scale(m.kappa * m.theta, at.a));
}

/* Derivatives of the log moment to the parameters and to time. */
XIP_INLINE Gradient heston_gradient(Model m, Complex z, Exponent at)
{
    Gradient to;
    double long_run = m.kappa * m.theta, cube = m.time * m.time * m.time;
    Complex q_by_l = c_mul(at.q, at.l_inverse), r_by_l = c_mul(at.r, at.l_inverse);
    Complex x = c_mul(at.r, at.e), p = c_scale(cube, at.p), u = c_scale(0.25 * cube, at.u);
    Complex to_beta, to_variance, a_part, b_part;

    b_part = c_sub(c_mul(at.beta, u), c_mul(at.e, at.e));
    b_part = c_mul(c_mul(q_by_l, at.l_inverse), b_part);
    to_beta = c_fma(m.v0, b_part, c_scale(-long_run, c_mul(q_by_l, p)));

    a_part = c_fma(0.5, c_mul(at.q, p), c_mul(at.r, c_mul(at.d, u)));
    a_part = c_add(c_mul(r_by_l, a_part), c_mul(c_mul(x, x), at.c));
    b_part = c_mul(c_mul(q_by_l, q_by_l), u);
    to_variance = c_fma(-0.5 * m.v0, b_part, c_scale(long_run, a_part));

    to.to_v0 = at.b;
    to.to_kappa = c_fma(m.theta, at.a, to_beta);
    to.to_theta = c_scale(m.kappa, at.a);
    to.to_rho = c_scale(-m.sigma, c_mul(z, to_beta));
    to.to_sigma = c_fma(-m.rho, c_mul(z, to_beta), c_scale(2.0 * m.sigma, to_variance));
    a_part = c_mul(at.power, at.l_inverse);
    b_part = c_mul(q_by_l, a_part);
    a_part = c_mul(at.r, c_make(1.0 - a_part.re, -a_part.im));
    to.to_time = c_fma(0.5 * m.v0, b_part, c_scale(long_run, a_part));
    return to;
}

/* Time at which the moment E[e^(pX)] becomes infinite, p < 0 or p > 1; infinity if never. */
XIP_INLINE double heston_explosion_time(Model m, double p)
{
    double beta = m.kappa - m.rho * m.sigma * p;
    double square = m.kappa * m.kappa
        + m.sigma * p * (m.sigma - 2.0 * m.kappa * m.rho - m.sigma * ((1.0 - m.rho) * (1.0 + m.rho)) * p);
    double root = __builtin_sqrt(square < 0.0 ? -square : square);
    double guarded = root > 1e-150 ? root : 1e-150;
    double turning = 2.0 * atan2_(guarded, -beta) / guarded;
    double fading = log_((-beta + guarded) / (-beta - guarded)) / guarded;

    fading = beta > 0.0 ? __builtin_inf() : fading;
    return square < 0.0 ? turning : fading;
}

#endif
