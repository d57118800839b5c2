/* The softfloat module: Berkeley SoftFloat 3e (RISC-V NaN rules) for f32 and f64, as WebAssembly functions on float values.
 *
 * Every function below takes its operands as integers, works on integers, and hands integers back; the reinterpretation at
 * the border is the only thing it does with a float. SoftFloat's own files are included, not linked, so that one
 * optimiser run sees all of them.
 */
#include <stdbool.h>
#include <stdint.h>

#include "platform.h"

#include "internals.h"
#include "specialize.h"

#include "s_approxRecip_1Ks.c"
#include "s_approxRecipSqrt_1Ks.c"
#include "s_approxRecipSqrt32_1.c"
#include "s_mul64To128.c"
#include "s_shiftRightJam128.c"
#include "s_propagateNaNF32UI.c"
#include "s_propagateNaNF64UI.c"
#include "s_normSubnormalF32Sig.c"
#include "s_normSubnormalF64Sig.c"
#include "s_roundPackToF32.c"
#include "s_roundPackToF64.c"
#include "s_normRoundPackToF32.c"
#include "s_normRoundPackToF64.c"
#include "s_addMagsF32.c"
#include "s_addMagsF64.c"
#include "s_subMagsF32.c"
#include "s_subMagsF64.c"
#include "s_mulAddF32.c"
#include "s_mulAddF64.c"
#include "s_roundToI32.c"
#include "s_roundToUI32.c"
#include "s_roundToI64.c"
#include "s_roundToUI64.c"

#include "ui32_to_f32.c"
#include "ui32_to_f64.c"
#include "ui64_to_f32.c"
#include "ui64_to_f64.c"
#include "i32_to_f32.c"
#include "i32_to_f64.c"
#include "i64_to_f32.c"
#include "i64_to_f64.c"

#include "f32_add.c"
#include "f32_sub.c"
#include "f32_mul.c"
#include "f32_mulAdd.c"
#include "f32_div.c"
#include "f32_rem.c"
#include "f32_sqrt.c"
#include "f32_roundToInt.c"
#include "f32_eq.c"
#include "f32_le.c"
#include "f32_lt.c"
#include "f32_eq_signaling.c"
#include "f32_le_quiet.c"
#include "f32_lt_quiet.c"
#include "f32_isSignalingNaN.c"
#include "f32_to_i32.c"
#include "f32_to_ui32.c"
#include "f32_to_i64.c"
#include "f32_to_ui64.c"
#include "f32_to_f64.c"

#include "f64_add.c"
#include "f64_sub.c"
#include "f64_mul.c"
#include "f64_mulAdd.c"
#include "f64_div.c"
#include "f64_rem.c"
#include "f64_sqrt.c"
#include "f64_roundToInt.c"
#include "f64_eq.c"
#include "f64_le.c"
#include "f64_lt.c"
#include "f64_eq_signaling.c"
#include "f64_le_quiet.c"
#include "f64_lt_quiet.c"
#include "f64_isSignalingNaN.c"
#include "f64_to_i32.c"
#include "f64_to_ui32.c"
#include "f64_to_i64.c"
#include "f64_to_ui64.c"
#include "f64_to_f32.c"

#define EXPORT(name) __attribute__((export_name(#name)))

/* The empty asm statements keep the optimiser from seeing that an integer is the image of a float: it would recognise
 * "is NaN", "copy sign" and the like, and put back the float instructions that this module exists to replace. */
#define DEFINE_REINTERPRET(N, ctype, itype)                     \
    static inline float##N##_t in##N(ctype value) {             \
        float##N##_t result;                                    \
        __builtin_memcpy(&result.v, &value, sizeof value);      \
        __asm__("" : "+r"(result.v));                           \
        return result;                                          \
    }                                                           \
    static inline ctype out##N(float##N##_t value) {            \
        ctype result;                                           \
        __asm__("" : "+r"(value.v));                            \
        __builtin_memcpy(&result, &value.v, sizeof result);     \
        return result;                                          \
    }

DEFINE_REINTERPRET(32, float, uint32_t)
DEFINE_REINTERPRET(64, double, uint64_t)

#define UNARY(N, ctype, name) \
    EXPORT(f##N##_##name) ctype x##N##_##name(ctype a) { return out##N(f##N##_##name(in##N(a))); }
#define BINARY(N, ctype, name) \
    EXPORT(f##N##_##name) ctype x##N##_##name(ctype a, ctype b) { return out##N(f##N##_##name(in##N(a), in##N(b))); }
#define COMPARE(N, ctype, name, sf, first, second) \
    EXPORT(f##N##_##name) int32_t x##N##_##name(ctype a, ctype b) { return f##N##_##sf(in##N(first), in##N(second)); }
#define TO_INT(N, ctype, name, itype)                                                             \
    EXPORT(f##N##_to_##name) itype x##N##_to_##name(ctype a, int32_t mode, int32_t exact) {       \
        return (itype)f##N##_to_##name(in##N(a), (uint_fast8_t)mode, exact != 0);                 \
    }                                                                                             \
    EXPORT(f##N##_to_##name##_r_minMag) itype x##N##_to_##name##_r_minMag(ctype a, int32_t exact) { \
        return (itype)f##N##_to_##name(in##N(a), softfloat_round_minMag, exact != 0);             \
    }
#define FROM_INT(N, ctype, name, itype) \
    EXPORT(name##_to_f##N) ctype x_##name##_to_f##N(itype a) { return out##N(name##_to_f##N(a)); }

/* Instructions of WebAssembly that SoftFloat has no function for: min, max, copysign, and conversion to integer that traps
 * (iM_trunc_fN_s/u) or saturates (iM_trunc_sat_fN_s/u). */

#define TRUNCATE(N, ctype, M, suffix, itype, least, most)                                    \
    EXPORT(i##M##_trunc_f##N##_##suffix) itype x_i##M##_trunc_f##N##_##suffix(ctype a) {     \
        struct truncated t = truncate##N(in##N(a).v);                                        \
        if (!t.finite64 || t.magnitude > (t.negative ? least : most)) __builtin_trap();      \
        return (itype)(t.negative ? -t.magnitude : t.magnitude);                             \
    }                                                                                        \
    EXPORT(i##M##_trunc_sat_f##N##_##suffix) itype x_i##M##_trunc_sat_f##N##_##suffix(ctype a) { \
        struct truncated t = truncate##N(in##N(a).v);                                        \
        uint64_t limit = t.negative ? least : most;                                          \
        if (t.nan) return 0;                                                                 \
        if (!t.finite64 || t.magnitude > limit) t.magnitude = limit;                         \
        return (itype)(t.negative ? -t.magnitude : t.magnitude);                             \
    }

struct truncated {
    uint64_t magnitude; /* of the value without its fraction; only if finite64 */
    bool negative;
    bool finite64; /* the magnitude fits into 64 bits */
    bool nan;
};

static inline struct truncated truncate_parts(uint64_t significand, int exponent, int fraction_bits) {
    struct truncated t = {0, false, true, false};
    if (exponent >= 64) {
        t.finite64 = false;
    } else if (exponent >= fraction_bits) {
        t.magnitude = significand << (exponent - fraction_bits);
    } else if (exponent >= 0) {
        t.magnitude = significand >> (fraction_bits - exponent);
    }
    return t;
}

static inline struct truncated truncate32(uint32_t bits) {
    uint32_t fraction = bits & 0x7FFFFF, biased = bits >> 23 & 0xFF;
    struct truncated t = truncate_parts(fraction | 0x800000, (int)biased - 127, 23);
    t.negative = bits >> 31;
    t.nan = biased == 0xFF && fraction;
    return t;
}

static inline struct truncated truncate64(uint64_t bits) {
    uint64_t fraction = bits & UINT64_C(0xFFFFFFFFFFFFF), biased = bits >> 52 & 0x7FF;
    struct truncated t = truncate_parts(fraction | UINT64_C(0x10000000000000), (int)biased - 1023, 52);
    t.negative = bits >> 63;
    t.nan = biased == 0x7FF && fraction;
    return t;
}

#define DEFINE_MIN_MAX(N, stype, SIGN, INFINITY_BITS, NAN_BITS)                                      \
    static inline bool is_nan##N(float##N##_t a) { return (a.v & ~SIGN) > INFINITY_BITS; }           \
    /* Maps float order, -0 below +0, to the order of signed integers. */                            \
    static inline stype order##N(float##N##_t a) { return (stype)(a.v & SIGN ? ~a.v ^ SIGN : a.v); } \
    static inline float##N##_t f##N##_min(float##N##_t a, float##N##_t b) {                          \
        if (is_nan##N(a) || is_nan##N(b)) return (float##N##_t){NAN_BITS};                           \
        return order##N(a) < order##N(b) ? a : b;                                                    \
    }                                                                                                \
    static inline float##N##_t f##N##_max(float##N##_t a, float##N##_t b) {                          \
        if (is_nan##N(a) || is_nan##N(b)) return (float##N##_t){NAN_BITS};                           \
        return order##N(a) < order##N(b) ? b : a;                                                    \
    }                                                                                                \
    static inline float##N##_t f##N##_copysign(float##N##_t a, float##N##_t b) {                     \
        return (float##N##_t){(a.v & ~SIGN) | (b.v & SIGN)};                                         \
    }

DEFINE_MIN_MAX(32, int32_t, UINT32_C(0x80000000), UINT32_C(0x7F800000), defaultNaNF32UI)
DEFINE_MIN_MAX(64, int64_t, UINT64_C(0x8000000000000000), UINT64_C(0x7FF0000000000000), defaultNaNF64UI)

#define DEFINE_ALL(N, ctype)                                                                         \
    BINARY(N, ctype, add)                                                                            \
    BINARY(N, ctype, sub)                                                                            \
    BINARY(N, ctype, mul)                                                                            \
    BINARY(N, ctype, div)                                                                            \
    BINARY(N, ctype, rem)                                                                            \
    BINARY(N, ctype, min)                                                                            \
    BINARY(N, ctype, max)                                                                            \
    BINARY(N, ctype, copysign)                                                                       \
    UNARY(N, ctype, sqrt)                                                                            \
    EXPORT(f##N##_mulAdd) ctype x##N##_mulAdd(ctype a, ctype b, ctype c) {                           \
        return out##N(f##N##_mulAdd(in##N(a), in##N(b), in##N(c)));                                  \
    }                                                                                                \
    EXPORT(f##N##_roundToInt) ctype x##N##_roundToInt(ctype a, int32_t mode, int32_t exact) {        \
        return out##N(f##N##_roundToInt(in##N(a), (uint_fast8_t)mode, exact != 0));                  \
    }                                                                                                \
    COMPARE(N, ctype, eq, eq, a, b)                                                                  \
    COMPARE(N, ctype, eq_signaling, eq_signaling, a, b)                                              \
    COMPARE(N, ctype, le, le, a, b)                                                                  \
    COMPARE(N, ctype, lt, lt, a, b)                                                                  \
    COMPARE(N, ctype, le_quiet, le_quiet, a, b)                                                      \
    COMPARE(N, ctype, lt_quiet, lt_quiet, a, b)                                                      \
    COMPARE(N, ctype, ge_quiet, le_quiet, b, a)                                                      \
    COMPARE(N, ctype, gt_quiet, lt_quiet, b, a)                                                      \
    EXPORT(f##N##_isSignalingNaN) int32_t x##N##_isSignalingNaN(ctype a) { return f##N##_isSignalingNaN(in##N(a)); } \
    TO_INT(N, ctype, i32, int32_t)                                                                   \
    TO_INT(N, ctype, ui32, uint32_t)                                                                 \
    TO_INT(N, ctype, i64, int64_t)                                                                   \
    TO_INT(N, ctype, ui64, uint64_t)                                                                 \
    FROM_INT(N, ctype, i32, int32_t)                                                                 \
    FROM_INT(N, ctype, ui32, uint32_t)                                                               \
    FROM_INT(N, ctype, i64, int64_t)                                                                 \
    FROM_INT(N, ctype, ui64, uint64_t)                                                               \
    TRUNCATE(N, ctype, 32, s, int32_t, UINT64_C(0x80000000), UINT64_C(0x7FFFFFFF))                   \
    TRUNCATE(N, ctype, 32, u, uint32_t, UINT64_C(0), UINT64_C(0xFFFFFFFF))                           \
    TRUNCATE(N, ctype, 64, s, int64_t, UINT64_C(0x8000000000000000), UINT64_C(0x7FFFFFFFFFFFFFFF))   \
    TRUNCATE(N, ctype, 64, u, uint64_t, UINT64_C(0), UINT64_C(0xFFFFFFFFFFFFFFFF))

DEFINE_ALL(32, float)
DEFINE_ALL(64, double)

EXPORT(f32_to_f64) double x_f32_to_f64(float a) { return out64(f32_to_f64(in32(a))); }
EXPORT(f64_to_f32) float x_f64_to_f32(double a) { return out32(f64_to_f32(in64(a))); }
