/* Platform header of SoftFloat for wasm32: constant modes, no flags, everything in one translation unit. */
#ifndef PYGENVM_PLATFORM_H
#define PYGENVM_PLATFORM_H

#define LITTLEENDIAN 1
#define INLINE static inline
#include "opts-GCC.h"

/* The headers declare the mode and flag variables as extern objects, so the macros below may only start after them. */
#include "softfloat_types.h"
#include "softfloat.h"

/* WebAssembly rounds to nearest-even, finds tininess after rounding and has no flags: without mutable variables the
 * module has no state that a contract could see or that a snapshot would have to carry. */
#define softfloat_roundingMode ((uint_fast8_t)softfloat_round_near_even)
#define softfloat_detectTininess ((uint_fast8_t)softfloat_tininess_afterRounding)
#define softfloat_exceptionFlags pygenvm_unread_flags
#define softfloat_raiseFlags(flags) ((void)(flags))
static uint_fast8_t pygenvm_unread_flags __attribute__((unused));

#endif
