/* C++ exceptions: WebAssembly has none that a sub-VM may use, so who throws one ends the program. */
#include <stddef.h>
#include <stdlib.h>

void *__cxa_allocate_exception(size_t size) { abort(); }
void __cxa_free_exception(void *exception) { abort(); }
void __cxa_throw(void *exception, void *type, void (*destructor)(void *)) { abort(); }
