/* acosh for the link of the interpreter: musl's gives a finite number for some x < -1, where NaN is due. */
#include <math.h>

static const double LN2 = 0x1.62e42fefa39efp-1;
static const double SQUARE_IS_LOST = 0x1p26; /* from here on x*x - 1 == x*x */

double acosh(double x)
{
    if (x < 1)
        return (x - x) / 0.0;
    if (x < 2) {
        double above = x - 1;
        return log1p(above + sqrt(above * above + 2 * above));
    }
    if (x < SQUARE_IS_LOST)
        return log(2 * x - 1 / (x + sqrt(x * x - 1)));
    return log(x) + LN2;
}
