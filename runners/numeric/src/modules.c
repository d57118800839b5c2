/* The built-in modules of the numeric interpreter, under their full names: importlib finds them before it looks for files. */
#include <Python.h>

#define MODULES(_)                                                                                                     \
    _("numpy._core._multiarray_umath", _multiarray_umath)                                                              \
    _("numpy.fft._pocketfft_umath", _pocketfft_umath)                                                                  \
    _("numpy.linalg._umath_linalg", _umath_linalg)                                                                     \
    _("numpy.linalg.lapack_lite", lapack_lite)                                                                         \
    _("numpy.random._bounded_integers", _bounded_integers)                                                             \
    _("numpy.random._common", _common)                                                                                 \
    _("numpy.random._generator", _generator)                                                                           \
    _("numpy.random._mt19937", _mt19937)                                                                               \
    _("numpy.random._pcg64", _pcg64)                                                                                   \
    _("numpy.random._philox", _philox)                                                                                 \
    _("numpy.random._sfc64", _sfc64)                                                                                   \
    _("numpy.random.bit_generator", bit_generator)                                                                     \
    _("numpy.random.mtrand", mtrand)                                                                                   \
    _("PIL._imaging", _imaging)                                                                                        \
    _("PIL._imagingmath", _imagingmath)                                                                                \
    _("PIL._imagingmorph", _imagingmorph)                                                                              \
    _("PIL._webp", _webp)                                                                                              \
    TEST_MODULES(_)

/* What only NumPy's own tests need. */
#ifdef WITH_TEST_MODULES
#define TEST_MODULES(_)                                                                                                \
    _("numpy._core._multiarray_tests", _multiarray_tests)                                                              \
    _("numpy._core._operand_flag_tests", _operand_flag_tests)                                                          \
    _("numpy._core._rational_tests", _rational_tests)                                                                  \
    _("numpy._core._struct_ufunc_tests", _struct_ufunc_tests)                                                          \
    _("numpy._core._umath_tests", _umath_tests)
#else
#define TEST_MODULES(_)
#endif

#define DECLARE(path, name) PyMODINIT_FUNC PyInit_##name(void);
#define ENTRY(path, name) {path, PyInit_##name},

MODULES(DECLARE)

struct _inittab genlayer_more_modules[] = {MODULES(ENTRY){NULL, NULL}};
