/* Sums of float32 products, each product and each partial sum rounded, in the order of the elements.
 *
 * A run of up to RUN products is summed in fixed point: a 64-bit integer holds the partial sum in units of 2**(w - 278),
 * where w is chosen before from the largest exponents on both sides so that no sum overflows. A product (48 bits) is
 * rounded to 24 bits, shifted to its place and added, the sum rounded to 24 bits: the same numbers as from float
 * instructions, as long as no product lies below the unit and no result beyond the range of floats. Runs for which that
 * cannot be said (infinities, NaNs, subnormals, or sizes too far apart) are summed by f32_mul and f32_add.
 */
#ifndef PYGENVM_F32_PRODUCT_H
#define PYGENVM_F32_PRODUCT_H

#include "f32.h"

enum {
    RUN = 256,
    LOG2_RUN = 8,
    /* A product takes 26 bits at its lowest place, the lowest of them 0; RUN of the largest, and the sum before, 62. */
    PLACES = 61 - 26 - LOG2_RUN,
    ZERO_EXPONENT = 1 << 16,
    UNFIT = 1 << 20,
    W_MIN = 128, /* no product is subnormal, and no unit below the smallest subnormal */
    W_MAX = 343, /* no sum overflows */
};

/* One element: significand with sign, and biased exponent, that of zero out of range. */
struct part {
    int32_t significand;
    int32_t exponent;
};

/* Unpacks an element. `largest` keeps the largest exponent; it becomes at least UNFIT by what does not fit. */
static inline struct part unpack(uint32_t a, int32_t *largest) {
    int32_t exponent = (int32_t)f32_exponent(a), sign = (int32_t)a >> 31;
    int32_t significand = (int32_t)((a & F32_FRACTION) | F32_HIDDEN);
    if (exponent - 1u >= 0xFE) {
        bool zero = !(a << 1);
        *largest |= zero ? 0 : UNFIT;
        return (struct part){0, ZERO_EXPONENT};
    }
    *largest = *largest > exponent ? *largest : exponent;
    return (struct part){(significand ^ sign) - sign, exponent};
}

static inline int64_t sum_rounded(int64_t sum) {
    uint32_t zeros = leading_zeros((uint64_t)(sum ^ (sum >> 63)));
    /* The bits to drop; the lowest bit of a sum is 0, so that one may always be. */
    int64_t dropped = (int64_t)(UINT64_C(0xFFFFFFFFFF) >> (zeros & 63)) | 1;
    int64_t last = sum >> ((40 - zeros) & 63) & 1;
    return (sum + (dropped >> 1) + last) & ~dropped;
}

static inline int64_t product_rounded(int64_t a, int64_t b, int32_t place) {
    int64_t product = a * b;
    /* 1 if the product has 48 bits, 0 if 47. */
    int64_t carry = (int64_t)((uint64_t)(product ^ (product << 1)) >> 48);
    int64_t last = product >> (23 + carry) & 1;
    return (product + (0x3FFFFF | (carry << 22)) + last) >> (23 + carry) << ((place + 1 + carry) & 63);
}

/* The run's place for a sum so far and largest exponents; 0 if there is none. */
static inline int32_t run_unit(uint32_t sum, int32_t largest_a, int32_t largest_b) {
    int32_t w = largest_a + largest_b - PLACES;
    int32_t exponent = (int32_t)f32_exponent(sum), lowest;
    exponent += !exponent;
    lowest = exponent + 128 - (61 - 24);
    w = w > W_MIN ? w : W_MIN;
    if (sum << 1) {
        w = w > lowest ? w : lowest;
        if (exponent + 128 - w < 1) return 0;
    }
    return w <= W_MAX ? w : 0;
}

static inline int64_t to_fixed(uint32_t sum, int32_t w) {
    int32_t exponent = (int32_t)f32_exponent(sum), normal = exponent != 0;
    int64_t significand = (int64_t)((sum & F32_FRACTION) | ((uint32_t)normal << 23));
    if (!significand) return 0;
    significand <<= exponent + !normal + 128 - w;
    return sum & F32_SIGN ? -significand : significand;
}

static inline uint32_t from_fixed(int64_t sum, int32_t w) {
    uint64_t magnitude = (uint64_t)(sum < 0 ? -sum : sum);
    uint32_t sign = (uint32_t)(sum >> 32) & F32_SIGN;
    int32_t zeros = (int32_t)leading_zeros(magnitude), exponent = w - 88 - zeros;
    if (!magnitude) return 0;
    if (exponent < 1) return sign | (uint32_t)(w > 129 ? magnitude << (w - 129) : magnitude >> (129 - w));
    return sign | ((((uint32_t)exponent - 1) << 23) + (uint32_t)(magnitude << zeros >> 40));
}

#endif
