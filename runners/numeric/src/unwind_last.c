/* See unwind_first.c. */
__attribute__((export_name("genlayer_unwind_last"), visibility("default"))) int genlayer_unwind_last(void) { return 2; }
