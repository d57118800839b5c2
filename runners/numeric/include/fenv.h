/* Floating-point flags in a word of our own: WebAssembly has none, and the libc's functions do nothing. What NumPy raises
 * itself is seen (a singular matrix); what plain operations would raise is not. */
#pragma once
#include_next <fenv.h>

#undef FE_ALL_EXCEPT
#define FE_INVALID 1
#define FE_DIVBYZERO 4
#define FE_OVERFLOW 8
#define FE_UNDERFLOW 16
#define FE_INEXACT 32
#define FE_ALL_EXCEPT 61

#define feclearexcept genlayer_feclearexcept
#define feraiseexcept genlayer_feraiseexcept
#define fetestexcept genlayer_fetestexcept

#ifdef __cplusplus
extern "C" {
#endif
int feclearexcept(int);
int feraiseexcept(int);
int fetestexcept(int);
#ifdef __cplusplus
}
#endif
