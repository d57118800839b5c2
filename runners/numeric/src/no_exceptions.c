/* C++ exceptions: WebAssembly has none that a sub-VM may use. NumPy throws only when there is no memory, where other
 * machines would get a MemoryError; here the program ends as with a MemoryError that nobody catches. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void fail(void)
{
    fputs("MemoryError: in C++ code of NumPy\n", stderr);
    exit(1);
}

void *__cxa_allocate_exception(size_t size) { fail(); }
void __cxa_free_exception(void *exception) { fail(); }
void __cxa_throw(void *exception, void *type, void (*destructor)(void *)) { fail(); }

/* operator new and operator new[] */
void *_Znwm(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (memory == NULL)
        fail();
    return memory;
}

void *_Znam(size_t size) { return _Znwm(size); }
