/* The interpreter as a command: CPython's own main with the host module built in. */
#include <Python.h>

PyMODINIT_FUNC PyInit__genlayer_wasi(void);
PyMODINIT_FUNC PyInit__genlayer_keccak(void);
PyMODINIT_FUNC PyInit__genlayer_calldata(void);
PyMODINIT_FUNC PyInit__genlayer_storage(void);

#ifdef MORE_MODULES
extern struct _inittab MORE_MODULES[];
#endif

int main(int argc, char **argv)
{
    if (PyImport_AppendInittab("_genlayer_wasi", PyInit__genlayer_wasi) != 0 ||
        PyImport_AppendInittab("_genlayer_keccak", PyInit__genlayer_keccak) != 0 ||
        PyImport_AppendInittab("_genlayer_calldata", PyInit__genlayer_calldata) != 0 ||
        PyImport_AppendInittab("_genlayer_storage", PyInit__genlayer_storage) != 0)
        return 1;
#ifdef MORE_MODULES
    if (PyImport_ExtendInittab(MORE_MODULES) != 0)
        return 1;
#endif
    return Py_BytesMain(argc, argv);
}
