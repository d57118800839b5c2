/* Float32 arithmetic in integer code, inlined: the bits that one instruction gives, NaNs canonical.
 *
 * Operands and results are bit patterns. What is rare is left to the instruction itself, in functions that are not
 * inlined: it becomes a call of the softfloat module. The rest has no branch that depends on the operands, since those of
 * real data cannot be predicted. Right shifts of negative numbers are arithmetic (clang), and rounding to even by
 * (x + half - 1 + last) >> n holds for them as well.
 */
#ifndef PYGENVM_F32_H
#define PYGENVM_F32_H

#include "bits.h"

#define F32_SIGN UINT32_C(0x80000000)
#define F32_INFINITY UINT32_C(0x7F800000)
#define F32_FRACTION UINT32_C(0x007FFFFF)
#define F32_HIDDEN UINT32_C(0x00800000)

static inline float f32_of(uint32_t bits) {
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t f32_bits(float value) {
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

static RARE uint32_t f32_add__rare(uint32_t a, uint32_t b) {
    if (!((a | b) << 1)) return a & b;
    return f32_bits(f32_of(a) + f32_of(b));
}
static RARE uint32_t f32_div__rare(uint32_t a, uint32_t b) { return f32_bits(f32_of(a) / f32_of(b)); }
static RARE uint32_t f32_mul__rare(uint32_t a, uint32_t b) {
    bool zero = !(a << 1) || !(b << 1), finite = (a & F32_INFINITY) != F32_INFINITY && (b & F32_INFINITY) != F32_INFINITY;
    if (zero && finite) return (a ^ b) & F32_SIGN;
    return f32_bits(f32_of(a) * f32_of(b));
}

static inline uint32_t f32_exponent(uint32_t a) { return a >> 23 & 0xFF; }

/* Rounds a number with 1 in bit 62 (or fewer bits, if the result is subnormal) to its upper 24 bits. */
static inline uint32_t f32_rounded(uint64_t x) {
    return (uint32_t)((x + ((UINT64_C(1) << 38) - 1) + (x >> 39 & 1)) >> 39);
}

static inline uint32_t f32_add(uint32_t a, uint32_t b) {
    bool swap = a << 1 < b << 1;
    uint32_t large = swap ? b : a, small = swap ? a : b;
    uint32_t e = f32_exponent(large), e_small = f32_exponent(small), normal_small = (e_small + 0xFF) >> 8;
    if (UNLIKELY(e - 1 >= 0xFD)) return f32_add__rare(a, b);
    /* The larger one stands in bits 38 to 61. From 38 places on, the smaller one is too far below to count. */
    int32_t place = (int32_t)(39 + e_small - normal_small - e);
    int64_t addend = (int64_t)((small & F32_FRACTION) | (normal_small << 23)) << (place > 0 ? place : 0);
    int64_t negative = (int32_t)(a ^ b) >> 31;
    uint64_t sum = ((uint64_t)((large & F32_FRACTION) | F32_HIDDEN) << 38) + (uint64_t)((addend ^ negative) - negative);
    uint32_t zeros = leading_zeros(sum);
    /* Subnormal, or zero: of two normal numbers, the difference has at most 26 zeros before it. */
    if (UNLIKELY(zeros > e || zeros > 26)) return f32_add__rare(a, b);
    return (((e + 1 - zeros) << 23) + f32_rounded(sum << (zeros - 1))) | (large & F32_SIGN);
}

static inline uint32_t f32_sub(uint32_t a, uint32_t b) {
    /* The sign of a NaN does not matter: results are canonical. */
    return f32_add(a, b ^ F32_SIGN);
}

static inline uint32_t f32_mul(uint32_t a, uint32_t b) {
    uint32_t ea = f32_exponent(a), eb = f32_exponent(b);
    uint64_t product = (uint64_t)((a & F32_FRACTION) | F32_HIDDEN) * ((b & F32_FRACTION) | F32_HIDDEN);
    uint32_t carry = (uint32_t)(product >> 47);
    int32_t e = (int32_t)(ea + eb + carry) - 128; /* of the result, less one */
    if (UNLIKELY(ea - 1 >= 0xFE || eb - 1 >= 0xFE || e < 0)) return f32_mul__rare(a, b);
    uint32_t result = ((uint32_t)e << 23) + f32_rounded(product << (16 - carry));
    result = result < F32_INFINITY ? result : F32_INFINITY;
    return result | ((a ^ b) & F32_SIGN);
}

static inline uint32_t f32_div(uint32_t a, uint32_t b) {
    uint32_t ea = f32_exponent(a), eb = f32_exponent(b);
    uint32_t ma = (a & F32_FRACTION) | F32_HIDDEN, mb = (b & F32_FRACTION) | F32_HIDDEN;
    uint32_t less = ma < mb;
    int32_t e = (int32_t)(ea - eb - less) + 126; /* of the result, less one */
    if (UNLIKELY(ea - 1 >= 0xFE || eb - 1 >= 0xFE || e < 0)) return f32_div__rare(a, b);
    uint64_t dividend = (uint64_t)ma << (25 + less), quotient = dividend / mb;
    quotient |= quotient * mb != dividend;
    uint32_t result = ((uint32_t)e << 23) + (uint32_t)((quotient + 1 + (quotient >> 2 & 1)) >> 2);
    result = result < F32_INFINITY ? result : F32_INFINITY;
    return result | ((a ^ b) & F32_SIGN);
}

#endif
