/* setjmp for one kind of function: one that calls it first of all, and that `genlayer_with_setjmp` calls (unwind.c).
 * WebAssembly cannot leave several functions at once; see runners/numeric/unwind.py. */
#pragma once

typedef int jmp_buf[1];

int genlayer_setjmp(void);
_Noreturn void genlayer_longjmp(void);

#define setjmp(buffer) ((void)(buffer), genlayer_setjmp())
#define longjmp(buffer, value) ((void)(buffer), genlayer_longjmp())
