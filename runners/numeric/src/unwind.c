/* setjmp and longjmp of include/setjmp.h, for libjpeg.
 *
 * longjmp sets a flag. Every function between it and setjmp looks at the flag after each of its calls and returns
 * (unwind.py adds that to the functions between the two marks). What comes back here is called again, and takes its way
 * of error at once, because setjmp, its first statement, now returns 1.
 */
#include <Python.h>

#include "libImaging/Imaging.h"

#define EXPORT(name) __attribute__((export_name(name), visibility("default")))

__asm__(".globaltype __stack_pointer, i32\n");

int genlayer_jpeg_decode(Imaging im, ImagingCodecState state, UINT8 *buffer, Py_ssize_t bytes);
int genlayer_jpeg_encode(Imaging im, ImagingCodecState state, UINT8 *buffer, int bytes);

static volatile int unwinding;
static int jumped;

EXPORT("genlayer_unwinding") const volatile int *genlayer_unwinding(void) { return &unwinding; }

/* Its header says _Noreturn, which is true for whoever calls it: behind each call of it stands a return. */
void genlayer_longjmp(void) { unwinding = 1; }

int genlayer_setjmp(void)
{
    int result = jumped;
    jumped = 0;
    return result;
}

/* What returns early does not give its part of the stack back. */
#define WITH_SETJMP(call)                                                                                              \
    uintptr_t stack;                                                                                                   \
    __asm__ volatile("global.get __stack_pointer\n\tlocal.set %0" : "=r"(stack));                                      \
    int result = call;                                                                                                 \
    while (unwinding) {                                                                                                \
        __asm__ volatile("local.get %0\n\tglobal.set __stack_pointer" : : "r"(stack));                                 \
        unwinding = 0;                                                                                                 \
        jumped = 1;                                                                                                    \
        result = call;                                                                                                 \
    }                                                                                                                  \
    return result

int ImagingJpegDecode(Imaging im, ImagingCodecState state, UINT8 *buffer, Py_ssize_t bytes)
{
    WITH_SETJMP(genlayer_jpeg_decode(im, state, buffer, bytes));
}

int ImagingJpegEncode(Imaging im, ImagingCodecState state, UINT8 *buffer, int bytes)
{
    WITH_SETJMP(genlayer_jpeg_encode(im, state, buffer, bytes));
}
