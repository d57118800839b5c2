/* Start-up in two halves: the build runs the first and keeps the memory, every run begins with the second.
 *
 * `preinit` starts the interpreter and calls `prepare` of the module named below, which imports what contracts need.
 * `run` calls its `start`, which takes arguments and environment from the VM and gives the code to run and its globals.
 * `image` (executor/run/images.py) calls its `image`, which imports the contract and gives what `run` is to call then,
 * in place of `start`.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <wasi/api.h>
#include <wasi/libc-environ.h>
#include <wasi/libc.h>

#define EXPORT(name) __attribute__((export_name(name), visibility("default")))

#ifndef SNAPSHOT_MODULE
#define SNAPSHOT_MODULE "_genlayer_snapshot"
#endif
static const char MODULE[] = SNAPSHOT_MODULE;
static const wchar_t HOME[] = L"/py/std";
/* Those after the first two are CPython's own defaults; a contract may map files there. */
static const wchar_t *const SEARCH_PATHS[] = {L"/py/std", L"/py/libs", L"/py/std/lib/python313.zip",
                                              L"/py/std/lib/python3.13", L"/py/std/lib/python3.13/lib-dynload"};

extern void __wasm_call_ctors(void);
PyMODINIT_FUNC PyInit__genlayer_wasi(void);
PyMODINIT_FUNC PyInit__genlayer_keccak(void);
PyMODINIT_FUNC PyInit__genlayer_calldata(void);
PyMODINIT_FUNC PyInit__genlayer_storage(void);
#ifdef MORE_MODULES
extern struct _inittab MORE_MODULES[];
#endif

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

/* Objects of the snapshot are never freed, so nobody has to count references to them. Every page of memory that is
 * written to in a run is copied first; the counts alone would touch half of those that hold objects.
 *
 * What the garbage collector tracks is visited one by one; what it does not track is found from there. */
static int make_immortal(PyObject *object, void *unused)
{
    if (_Py_IsImmortal(object) || PyObject_GC_IsTracked(object))
        return 0;
    Py_SET_REFCNT(object, _Py_IMMORTAL_REFCNT);
    traverseproc traverse = Py_TYPE(object)->tp_traverse;
    return traverse != NULL && PyObject_IS_GC(object) ? traverse(object, make_immortal, unused) : 0;
}

static int visit_tracked(PyObject *object, void *unused)
{
    Py_SET_REFCNT(object, _Py_IMMORTAL_REFCNT);
    traverseproc traverse = Py_TYPE(object)->tp_traverse;
    if (traverse != NULL)
        traverse(object, make_immortal, unused);
    return 1;
}

/* The start-up leaves holes all over the heap. New objects in them would touch a page each, so the holes are filled,
 * and a run takes its memory from the end. */
static void fill_holes(void)
{
    enum { SMALLEST = 16, FINE = 1024, LARGEST = 128 << 10, AT_THE_END = 512 << 10 };
    char *end = malloc(AT_THE_END);
    if (end == NULL)
        fail("no memory");
    free(end);
    for (size_t size = LARGEST; size >= SMALLEST; size -= size > FINE ? size / 8 & -8 : 8) {
        char *hole;
        while ((hole = malloc(size)) != NULL && hole < end)
            ;
        free(hole);
    }
}

/* `start` and `image` of the module: looking one up in every run would cost a tenth of the run. */
static PyObject *start, *image;

EXPORT("preinit") void preinit(void)
{
    __wasm_call_ctors();
    if (PyImport_AppendInittab("_genlayer_wasi", PyInit__genlayer_wasi) != 0 ||
        PyImport_AppendInittab("_genlayer_keccak", PyInit__genlayer_keccak) != 0 ||
        PyImport_AppendInittab("_genlayer_calldata", PyInit__genlayer_calldata) != 0 ||
        PyImport_AppendInittab("_genlayer_storage", PyInit__genlayer_storage) != 0 ||
        PyImport_AppendInittab("_genlayer_vm", init_module) != 0)
        fail("no memory");
#ifdef MORE_MODULES
    if (PyImport_ExtendInittab(MORE_MODULES) != 0)
        fail("no memory");
#endif
    initialize();
    PyObject *snapshot = PyImport_ImportModule(MODULE);
    PyObject *done = snapshot == NULL ? NULL : PyObject_CallMethod(snapshot, "prepare", NULL);
    start = done == NULL ? NULL : PyObject_GetAttrString(snapshot, "start");
    image = start == NULL ? NULL : PyObject_GetAttrString(snapshot, "image");
    if (image == NULL)
        fail("the interpreter could not be prepared");
    Py_DECREF(done);
    Py_DECREF(snapshot);
    PyUnstable_GC_VisitObjects(visit_tracked, NULL);
    fill_holes();
    /* What libc knows of the build's VM must not be known in a run. */
    __wasilibc_reset_preopens();
    __wasilibc_deinitialize_environ();
}

EXPORT("image") void make_image(void)
{
    PyObject *next = PyObject_CallNoArgs(image);
    if (next == NULL)
        fail("there is no image of this contract");
    start = next;
}

EXPORT("run") void run(void)
{
    PyObject *program = PyObject_CallNoArgs(start);
    PyObject *code, *globals;
    if (program == NULL || !PyArg_ParseTuple(program, "OO!", &code, &PyDict_Type, &globals))
        fail("the interpreter could not be started");
    PyObject *result = PyEval_EvalCode(code, globals, globals);
    if (result == NULL)
        fail("the program failed");
    exit(Py_FinalizeEx() < 0 ? 120 : 0);
}
