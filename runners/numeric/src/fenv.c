/* The flags of include/fenv.h. */
#include <fenv.h>

static int flags;

int feclearexcept(int which)
{
    flags &= ~which;
    return 0;
}

int feraiseexcept(int which)
{
    flags |= which;
    return 0;
}

int fetestexcept(int which) { return flags & which; }
