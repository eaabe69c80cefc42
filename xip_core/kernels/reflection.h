/*
 * Single barriers on a lognormal asset by reflection: the formula behind barrier, digital_barrier and touch.
 *
 * A claim that pays f(S_T) unless the barrier H was hit is worth, by the reflection principle,
 *
 *     out(S) = g(S) - (H / S)^(2 mu) g(H^2 / S),    mu = (r - q) / sigma^2 - 1/2,
 *
 * where g is the price without barrier of f on the side of H where the asset still lives. The second term is the *image*.
 * For payoffs made of an asset part and a cash part beyond a level X, g is a sum of pairs of legs; with the barrier below
 * (direction +1) or above (-1), s = sigma __builtin_sqrt(T), L = direction ln(S / H) > 0 and M = direction (mu s^2),
 *
 *     asset: S exp(-qT) N(d1)   cash: exp(-rT) N(d2)   d2 = (direction ln(S / X) + M) / s,   d1 = d2 + direction s
 *
 * so all probabilities are of the direction of the barrier. X is the strike or the barrier: eight legs in all. Being hit
 * before T and paid at once is worth, with p = __builtin_sqrt(M^2 + 2 r T s^2),
 *
 *     exp(-L (M + p) / s^2) N((p - L) / s) + exp(-L (M - p) / s^2) N(-(p + L) / s).
 *
 * What keeps this fast and exact: the discounted density at the barrier exp(-rT) n(d2) is the same for leg, image and
 * both hit terms; the density of the image at the strike is that of the leg times the probability of a Brownian bridge
 * crossing H, exp(-2 L ln(K / H) / s^2). So three exponentials of squares serve ten normal distributions, powers of H / S
 * are only needed where they do not overflow, and (M - p) / s^2 is taken by its conjugate where the difference cancels.
 *
 * Every term W = exp(alpha x) N(d) of x = ln S has slope alpha W + t d_x, where t is its density: Greeks are exact.
 *
 * Source: E. Reiner and M. Rubinstein, Breaking down the barriers, Risk 4 (1991) and Unscrambling the binary code, Risk 4
 * (1991); E. Haug, The complete guide to option pricing formulas, 2nd edition (2007), section 4.17.
 */
#ifndef XIP_REFLECTION_H
#define XIP_REFLECTION_H

#include "domain.h"
#include "elementary.h"

/* A total volatility below this moves no price by a rounding: the limit without volatility is taken. */
#define XIP_NO_VOLATILITY 1e-20

/* 0 down-in, 1 down-out, 2 up-in, 3 up-out. */
XIP_INLINE double is_barrier_type(double value)
{
    return value * (value - 1.0) * (value - 2.0) * (value - 3.0) == 0.0 ? 1.0 : 0.0;
}

struct Path {
    double direction;  /* +1 barrier below the spot, -1 above */
    double is_hit;
    double distance;  /* L, 0 where hit */
    double drift;  /* M */
    double carry;  /* direction (r - q) T */
    double rate_time;  /* r T */
    double s;  /* total volatility, never 0 */
    double per_s;  /* 1 / s */
    double slope;  /* 1 / s, 0 without volatility: what derivatives are multiplied by */
    double discount;
    double spot_leg;  /* S exp(-qT) */
    double root_time;
    double cash_power;  /* (H / S)^(2 mu), at most (S / H)^2: beyond, its leg is in the tail and the power unused */
    double asset_power;  /* S exp(-qT) (H / S)^(2 mu + 2) */
    double barrier_density;  /* exp(-rT) n(d2) at the barrier */
};

struct Slopes {
    double value;
    double to_log;  /* d value / d ln S */
    double curve;  /* S^2 d2 value / d S2 = second less first derivative to ln S */
    double to_vol;  /* d value / d s */
};

XIP_INLINE struct Path path_point(
        double spot, double time, double rate, double dividend_yield, double volatility, double barrier,
        double direction)
{
    struct Path at;
    double distance = direction * log_ratio(spot, barrier);
    double has_vol, total_vol, exponent, bound, inverse_ratio = barrier / spot;
    at.direction = direction;
    at.is_hit = direction * (spot - barrier) > 0.0 ? 0.0 : 1.0;
    at.distance = at.is_hit > 0.0 ? 0.0 : distance;
    at.root_time = __builtin_sqrt(time);
    total_vol = volatility * at.root_time;
    has_vol = total_vol > XIP_NO_VOLATILITY ? 1.0 : 0.0;
    at.s = has_vol > 0.0 ? total_vol : XIP_NO_VOLATILITY;
    at.per_s = 1.0 / at.s;
    at.slope = has_vol * at.per_s;
    at.rate_time = rate * time;
    at.carry = direction * (rate - dividend_yield) * time;
    at.drift = at.carry - direction * 0.5 * at.s * at.s;
    at.discount = exp_(-at.rate_time);
    at.spot_leg = spot * exp_(-dividend_yield * time);
    exponent = -2.0 * (at.drift * at.per_s) * (at.distance * at.per_s);
    bound = 2.0 * at.distance;
    bound = bound < 700.0 ? bound : 700.0;
    at.cash_power = exp_(exponent < bound ? exponent : bound);
    at.asset_power = at.spot_leg * at.cash_power * (inverse_ratio * inverse_ratio);
    at.barrier_density = at.discount * normal_pdf((at.distance + at.drift) * at.per_s);
    return at;
}

/* full N(d), where density = full n(d): d may be far out although the density is not small, where drift is strong. */
XIP_INLINE double leg_point(double d, double full, double density)
{
    double tail = density * mills_ratio(__builtin_fabs(d));
    return d >= 0.0 ? full - tail : tail;
}

/* An asset and a cash leg beyond one level; *density* is that of the cash leg, the asset leg has level times it. */
XIP_INLINE struct Slopes pair_point(
        double asset_weight, double cash_weight, double asset, double cash, double asset_alpha, double cash_alpha,
        double alpha_to_vol, double density, double level, double d2, double d_to_log, struct Path at)
{
    struct Slopes pair;
    double asset_density = asset_weight * level * density;
    double cash_density = cash_weight * density;
    double both = asset_density + cash_density;  /* 0 at the strike of a vanilla payoff, exactly */
    asset = asset_weight * asset;
    cash = cash_weight * cash;
    pair.value = asset + cash;
    pair.to_log = asset_alpha * asset + cash_alpha * cash + both * d_to_log;
    pair.curve = (
        asset_alpha * (asset_alpha - 1.0) * asset + cash_alpha * (cash_alpha - 1.0) * cash
        + d_to_log * (
            (2.0 * asset_alpha - 1.0) * asset_density + (2.0 * cash_alpha - 1.0) * cash_density
            - d_to_log * (d2 * both + at.direction * at.s * asset_density)));
    pair.to_vol = alpha_to_vol * pair.value - (at.slope * d2 * both + at.direction * cash_density);
    return pair;
}

XIP_INLINE struct Slopes plain_pair(
        double asset_weight, double cash_weight, double level, double d2, double density, struct Path at)
{
    double d1 = d2 + at.direction * at.s;
    double asset = leg_point(d1, at.spot_leg, level * density);
    double cash = leg_point(d2, at.discount, density);
    return pair_point(
        asset_weight, cash_weight, asset, cash, 1.0, 0.0, 0.0, density, level, d2, at.direction * at.slope, at);
}

/* *d2* at H^2 / S, *density* with the power of H / S in it. */
XIP_INLINE struct Slopes image_pair(
        double asset_weight, double cash_weight, double level, double d2, double density, struct Path at)
{
    double d1 = d2 + at.direction * at.s;
    double asset = leg_point(d1, at.asset_power, level * density);
    double cash = leg_point(d2, at.discount * at.cash_power, density);
    double alpha = -2.0 * at.direction * (at.drift * at.slope) * at.slope;
    double alpha_to_vol = 4.0 * (at.distance * at.slope) * (at.carry * at.slope) * at.slope;
    return pair_point(
        asset_weight, cash_weight, asset, cash, alpha - 1.0, alpha, alpha_to_vol, density, level, d2,
        -at.direction * at.slope, at);
}

/* p^2; negative where rates are so negative that payment at hit has no real closed form. */
XIP_INLINE double squared_root(struct Path at)
{
    return at.drift * at.drift + 2.0 * at.rate_time * (at.s * at.s);
}

/* *weight* paid when the barrier is hit, before T; the barrier is not hit yet. */
XIP_INLINE struct Slopes hit_point(double weight, struct Path at)
{
    struct Slopes hit;
    double square = squared_root(at);
    double p = __builtin_sqrt(square > 0.0 ? square : 0.0);
    double sum = p + __builtin_fabs(at.drift);
    double steep = sum * at.per_s * at.per_s;
    double gentle = 2.0 * at.rate_time / (sum > 1e-300 ? sum : 1e-300);
    double h_main = at.drift >= 0.0 ? steep : gentle;  /* (M + p) / s^2 */
    double h_other = at.drift >= 0.0 ? -gentle : -steep;  /* (M - p) / s^2 */
    double exponent = -at.distance * h_main;
    double t = at.barrier_density;
    double main = leg_point(
        (p - at.distance) * at.per_s, exp_(exponent < 700.0 ? exponent : 700.0), t);
    double other = t * mills_ratio((p + at.distance) * at.per_s);
    double d_to_log = -at.direction * at.slope;
    double main_alpha = -at.direction * h_main, other_alpha = -at.direction * h_other;
    /* To volatility: (main - other) / root, root = p / s^2, is even and smooth in root; near 0 its series is used. */
    double root = p * at.per_s * at.per_s;
    double root_square = root * root;
    double middle = 0.5 * (main + other);
    double middle_t = at.s * t * (1.0 + 0.5 * root_square * at.s * at.s);
    double first = middle_t - at.distance * (
        middle + 0.5 * root_square * at.distance * (middle_t - at.distance * middle));
    double third = at.distance * at.distance * first - at.s * at.s * middle_t;
    double nu = at.drift * at.per_s * at.per_s;
    double near = (
        2.0 * (first + root_square * third / 6.0) * (nu * at.carry + at.rate_time) + (main + other) * at.carry);
    double far = (
        main * (at.carry * h_main + at.rate_time) - other * (at.carry * h_other + at.rate_time)
    ) / (root > 1e-300 ? root : 1e-300);
    double by_powers = root * (at.distance + at.s) < 1e-3 ? near : far;
    hit.value = weight * (main + other);
    hit.to_log = weight * (main_alpha * main + other_alpha * other + 2.0 * t * d_to_log);
    hit.curve = weight * (
        main_alpha * (main_alpha - 1.0) * main + other_alpha * (other_alpha - 1.0) * other
        + d_to_log * t * (2.0 * (main_alpha + other_alpha) - 2.0 + 2.0 * at.distance * at.per_s * d_to_log));
    hit.to_vol = weight * (
        2.0 * t * (at.distance * at.slope) * at.slope
        + 2.0 * (at.distance * at.slope) * (at.slope * at.slope * by_powers));
    return hit;
}

XIP_INLINE struct Slopes sum_point(struct Slopes a, struct Slopes b)
{
    a.value += b.value;
    a.to_log += b.to_log;
    a.curve += b.curve;
    a.to_vol += b.to_vol;
    return a;
}

/*
 * asset_weight S_T + cash_weight beyond the strike (above of a call, below of a put), knocked in or out; knocked in,
 * *no_hit_cash* is paid at T if the barrier was never hit.
 */
XIP_INLINE struct Slopes struck_point(
        double spot, double strike, double barrier, double is_call, double is_out, double asset_weight,
        double cash_weight, double no_hit_cash, struct Path at)
{
    double direction = at.direction;
    double alive = 1.0 - at.is_hit;
    double has_same_side = (is_call - 0.5) * direction > 0.0 ? 1.0 : 0.0;
    double strike_alive = direction * (strike - barrier) > 0.0 ? 1.0 : 0.0;
    double strike_sign = 2.0 * has_same_side - 1.0;
    /* What the asset's living side adds: one pair, or the difference of two. */
    double at_strike = alive * strike_alive * strike_sign;
    double at_barrier = has_same_side != strike_alive ? alive : 0.0;
    double in_sign = 2.0 * is_out - 1.0;  /* +1 out, -1 in */
    double plain_strike = is_out > 0.0 ? at_strike : strike_sign - at_strike;
    double everywhere = is_out > 0.0 ? 0.0 : 1.0 - has_same_side;
    double strike_distance = direction * log_ratio(spot, strike);
    double room = at.distance - strike_distance;  /* direction ln(K / H) */
    double d_strike = (strike_distance + at.drift) * at.per_s;
    double d_strike_image = (strike_distance - 2.0 * at.distance + at.drift) * at.per_s;
    double crossing = -2.0 * (at.distance * at.per_s) * (room * at.per_s);
    double strike_density = at.discount * normal_pdf(d_strike);
    double image_density = strike_density * exp_(crossing < 0.0 ? crossing : 0.0);
    double no_hit = alive * no_hit_cash * (1.0 - is_out);
    struct Slopes total;
    total = plain_pair(plain_strike * asset_weight, plain_strike * cash_weight, strike, d_strike, strike_density, at);
    total = sum_point(total, plain_pair(
        in_sign * at_barrier * asset_weight, in_sign * at_barrier * cash_weight + no_hit, barrier,
        (at.distance + at.drift) * at.per_s, at.barrier_density, at));
    total = sum_point(total, image_pair(
        -in_sign * at_strike * asset_weight, -in_sign * at_strike * cash_weight, strike, d_strike_image,
        image_density, at));
    total = sum_point(total, image_pair(
        -in_sign * at_barrier * asset_weight, -in_sign * at_barrier * cash_weight - no_hit, barrier,
        (at.drift - at.distance) * at.per_s, at.barrier_density, at));
    total.value += everywhere * (asset_weight * at.spot_leg + cash_weight * at.discount);
    total.to_log += everywhere * asset_weight * at.spot_leg;
    return total;
}

#endif
