/* What all kernels need. */
#ifndef PYGENVM_BITS_H
#define PYGENVM_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RARE __attribute__((noinline, cold))
#define UNLIKELY(condition) __builtin_expect((condition), 0)

/* As the instruction: 64 for zero. */
static inline uint32_t leading_zeros(uint64_t value) { return (uint32_t)__builtin_clzg(value, 64); }

#endif
