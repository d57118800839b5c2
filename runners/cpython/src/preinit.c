/* Start-up in two halves: the build runs the first and keeps the memory, every run begins with the second.
 *
 * `preinit` starts the interpreter and calls `prepare` of the module named below, which imports what contracts need.
 * `run` calls its `start`, which takes arguments and environment from the VM and gives the code to run and its globals.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <wasi/api.h>
#include <wasi/libc-environ.h>
#include <wasi/libc.h>

#define EXPORT(name) __attribute__((export_name(name), visibility("default")))

static const char MODULE[] = "_genlayer_snapshot";
static const wchar_t HOME[] = L"/py/std";
static const wchar_t *const SEARCH_PATHS[] = {L"/py/std", L"/py/libs"};

extern void __wasm_call_ctors(void);
PyMODINIT_FUNC PyInit__genlayer_wasi(void);

/* The arguments or the environment of the VM, as a list of bytes. */
static PyObject *texts(__wasi_errno_t (*sizes)(__wasi_size_t *, __wasi_size_t *),
                       __wasi_errno_t (*get)(uint8_t **, uint8_t *))
{
    __wasi_size_t count, size;
    if (sizes(&count, &size) != 0)
        return PyErr_Format(PyExc_OSError, "the VM does not tell its arguments");
    uint8_t **pointers = PyMem_Calloc(count + 1, sizeof *pointers);
    uint8_t *buffer = PyMem_Malloc(size + 1);
    PyObject *list = NULL;
    if (pointers == NULL || buffer == NULL)
        PyErr_NoMemory();
    else if (get(pointers, buffer) != 0)
        PyErr_Format(PyExc_OSError, "the VM does not give its arguments");
    else
        list = PyList_New(0);
    for (__wasi_size_t i = 0; list != NULL && i < count; i++) {
        PyObject *text = PyBytes_FromString((const char *)pointers[i]);
        if (text == NULL || PyList_Append(list, text) != 0)
            Py_CLEAR(list);
        Py_XDECREF(text);
    }
    PyMem_Free(pointers);
    PyMem_Free(buffer);
    return list;
}

static PyObject *arguments(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return texts(__wasi_args_sizes_get, __wasi_args_get);
}

static PyObject *environment(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return texts(__wasi_environ_sizes_get, __wasi_environ_get);
}

static PyMethodDef functions[] = {
    {"arguments", arguments, METH_NOARGS, NULL},
    {"environment", environment, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_genlayer_vm", .m_methods = functions};

static PyObject *init_module(void) { return PyModuleDef_Init(&module); }

static _Noreturn void fail(const char *what)
{
    if (PyErr_Occurred())
        PyErr_Print(); /* a SystemExit leaves here, with its own status */
    else
        fprintf(stderr, "%s\n", what);
    exit(1);
}

static void initialize(void)
{
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.use_environment = 0;
    config.user_site_directory = 0;
    config.write_bytecode = 0;
    config.buffered_stdio = 0;
    config.install_signal_handlers = 1;
    config.parse_argv = 0;
    config.pathconfig_warnings = 0;
    config.module_search_paths_set = 1;
    PyStatus status = PyConfig_SetString(&config, &config.home, HOME);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(SEARCH_PATHS) && !PyStatus_Exception(status); i++)
        status = PyWideStringList_Append(&config.module_search_paths, SEARCH_PATHS[i]);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

EXPORT("preinit") void preinit(void)
{
    __wasm_call_ctors();
    if (PyImport_AppendInittab("_genlayer_wasi", PyInit__genlayer_wasi) != 0 ||
        PyImport_AppendInittab("_genlayer_vm", init_module) != 0)
        fail("no memory");
    initialize();
    PyObject *snapshot = PyImport_ImportModule(MODULE);
    PyObject *done = snapshot == NULL ? NULL : PyObject_CallMethod(snapshot, "prepare", NULL);
    if (done == NULL)
        fail("the interpreter could not be prepared");
    Py_DECREF(done);
    Py_DECREF(snapshot);
    /* What libc knows of the build's VM must not be known in a run. */
    __wasilibc_reset_preopens();
    __wasilibc_deinitialize_environ();
}

EXPORT("run") void run(void)
{
    PyObject *snapshot = PyImport_ImportModule(MODULE);
    PyObject *program = snapshot == NULL ? NULL : PyObject_CallMethod(snapshot, "start", NULL);
    PyObject *code, *globals;
    if (program == NULL || !PyArg_ParseTuple(program, "OO!", &code, &PyDict_Type, &globals))
        fail("the interpreter could not be started");
    PyObject *result = PyEval_EvalCode(code, globals, globals);
    if (result == NULL)
        fail("the program failed");
    exit(Py_FinalizeEx() < 0 ? 120 : 0);
}
