/* As f32.h for float64; division and square root stay single operations. */
#ifndef PYGENVM_F64_H
#define PYGENVM_F64_H

#include "bits.h"

#define F64_SIGN UINT64_C(0x8000000000000000)
#define F64_INFINITY UINT64_C(0x7FF0000000000000)
#define F64_FRACTION UINT64_C(0x000FFFFFFFFFFFFF)
#define F64_HIDDEN UINT64_C(0x0010000000000000)

static inline double f64_of(uint64_t bits) {
    double value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint64_t f64_bits(double value) {
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

static RARE uint64_t f64_add__rare(uint64_t a, uint64_t b) {
    if (!((a | b) << 1)) return a & b;
    return f64_bits(f64_of(a) + f64_of(b));
}
static RARE uint64_t f64_mul__rare(uint64_t a, uint64_t b) {
    bool zero = !(a << 1) || !(b << 1), finite = (a & F64_INFINITY) != F64_INFINITY && (b & F64_INFINITY) != F64_INFINITY;
    if (zero && finite) return (a ^ b) & F64_SIGN;
    return f64_bits(f64_of(a) * f64_of(b));
}

static inline uint32_t f64_exponent(uint64_t a) { return (uint32_t)(a >> 52) & 0x7FF; }

/* Rounds a number with 1 in bit 62 (or fewer bits, if the result is subnormal) to its upper 53 bits. */
static inline uint64_t f64_rounded(uint64_t x) { return (x + 0x1FF + (x >> 10 & 1)) >> 10; }

static inline uint64_t f64_add(uint64_t a, uint64_t b) {
    bool swap = a << 1 < b << 1;
    uint64_t large = swap ? b : a, small = swap ? a : b;
    uint32_t e = f64_exponent(large), e_small = f64_exponent(small), normal_small = (e_small + 0x7FF) >> 11;
    if (UNLIKELY(e - 1 >= 0x7FD)) return f64_add__rare(a, b);
    /* The larger one stands in bits 9 to 61; what the smaller one loses to the right stays as its lowest bit. */
    uint32_t down = e - e_small - 1 + normal_small;
    down = down < 63 ? down : 63;
    uint64_t below = ((small & F64_FRACTION) | ((uint64_t)normal_small << 52)) << 9;
    int64_t addend = (int64_t)(below >> down | ((below & ((UINT64_C(1) << down) - 1)) != 0));
    int64_t negative = (int64_t)(a ^ b) >> 63;
    uint64_t sum = (((large & F64_FRACTION) | F64_HIDDEN) << 9) + (uint64_t)((addend ^ negative) - negative);
    uint32_t zeros = leading_zeros(sum);
    if (UNLIKELY(zeros > e || zeros > 55)) return f64_add__rare(a, b);
    return (((uint64_t)(e + 1 - zeros) << 52) + f64_rounded(sum << (zeros - 1))) | (large & F64_SIGN);
}

static inline uint64_t f64_sub(uint64_t a, uint64_t b) {
    /* The sign of a NaN does not matter: results are canonical. */
    return f64_add(a, b ^ F64_SIGN);
}

static inline uint64_t f64_mul(uint64_t a, uint64_t b) {
    uint32_t ea = f64_exponent(a), eb = f64_exponent(b);
    /* 63 and 64 bits; of their product, 126 or 127 bits, the upper half and whether there is more. */
    uint64_t ma = ((a & F64_FRACTION) | F64_HIDDEN) << 10, mb = ((b & F64_FRACTION) | F64_HIDDEN) << 11;
    uint64_t a1 = ma >> 32, a0 = (uint32_t)ma, b1 = mb >> 32, b0 = (uint32_t)mb;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
    uint64_t more = ((uint32_t)low | (uint32_t)other) != 0;
    uint64_t high = (a1 * b1 + (middle >> 32) + (other >> 32)) | more;
    uint32_t carry = (uint32_t)(high >> 62);
    int32_t e = (int32_t)(ea + eb + carry) - 1024; /* of the result, less one */
    if (UNLIKELY(ea - 1 >= 0x7FE || eb - 1 >= 0x7FE || e < 0)) return f64_mul__rare(a, b);
    uint64_t result = ((uint64_t)(uint32_t)e << 52) + f64_rounded(high << (1 - carry));
    result = result < F64_INFINITY ? result : F64_INFINITY;
    return result | ((a ^ b) & F64_SIGN);
}

#endif
