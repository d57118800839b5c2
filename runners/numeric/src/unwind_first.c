/* The linker keeps the order of its input: what lies between this and unwind_last.c can be left by longjmp. */
__attribute__((export_name("genlayer_unwind_first"), visibility("default"))) int genlayer_unwind_first(void) { return 1; }
