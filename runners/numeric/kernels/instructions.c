/* Single operations, for all code that is not in a kernel: faster than SoftFloat's where signs are as random as in arrays.
 *
 * The rewriter calls `f64_add__instruction` in the place of SoftFloat's `f64_add`. The empty asm statements keep the
 * optimiser from seeing that an integer is the image of a float, which would bring back float instructions.
 */
#include "f32.h"
#include "f64.h"

#define INSTRUCTION(bits, type, op)                                                          \
    __attribute__((used)) type f##bits##_##op##__instruction(type a, type b) {               \
        uint##bits##_t x = f##bits##_bits(a), y = f##bits##_bits(b), result;                 \
        __asm__("" : "+r"(x), "+r"(y));                                                      \
        result = f##bits##_##op(x, y);                                                       \
        __asm__("" : "+r"(result));                                                          \
        return f##bits##_of(result);                                                         \
    }

INSTRUCTION(32, float, add)
INSTRUCTION(32, float, sub)
INSTRUCTION(32, float, mul)
INSTRUCTION(32, float, div)
INSTRUCTION(64, double, add)
INSTRUCTION(64, double, sub)
INSTRUCTION(64, double, mul)
