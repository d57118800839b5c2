/* frexp as musl has it, but for numbers that are not finite: musl leaves their exponent unwritten, and NumPy then shows
 * what was in memory. Other libraries give 0. */
#include <math.h>
#include <stdint.h>

double frexp(double x, int *e)
{
    union {
        double value;
        uint64_t bits;
    } y = {x};
    int exponent = y.bits >> 52 & 0x7ff;
    if (exponent == 0 && x != 0) {
        x = frexp(x * 0x1p64, e);
        *e -= 64;
        return x;
    }
    if (exponent == 0 || exponent == 0x7ff) {
        *e = 0;
        return x;
    }
    *e = exponent - 0x3fe;
    y.bits = (y.bits & 0x800fffffffffffffull) | 0x3fe0000000000000ull;
    return y.value;
}

float frexpf(float x, int *e)
{
    union {
        float value;
        uint32_t bits;
    } y = {x};
    int exponent = y.bits >> 23 & 0xff;
    if (exponent == 0 && x != 0) {
        x = frexpf(x * 0x1p64f, e);
        *e -= 64;
        return x;
    }
    if (exponent == 0 || exponent == 0xff) {
        *e = 0;
        return x;
    }
    *e = exponent - 0x7e;
    y.bits = (y.bits & 0x807fffffu) | 0x3f000000u;
    return y.value;
}

long double frexpl(long double x, int *e)
{
    union {
        long double value;
        struct {
            uint64_t low;
            uint64_t high;
        } bits;
    } y = {x};
    int exponent = y.bits.high >> 48 & 0x7fff;
    if (exponent == 0 && x != 0) {
        x = frexpl(x * 0x1p120L, e);
        *e -= 120;
        return x;
    }
    if (exponent == 0 || exponent == 0x7fff) {
        *e = 0;
        return x;
    }
    *e = exponent - 0x3ffe;
    y.bits.high = (y.bits.high & 0x8000ffffffffffffull) | 0x3ffe000000000000ull;
    return y.value;
}
