/* Module _genlayer_wasi: the five host functions for Python code (spec executor/04, executor/09, sdk/01 section 9). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define HOST(name) __attribute__((import_module("genlayer_sdk"), import_name(#name))) extern uint32_t host_##name

HOST(storage_read)(const uint8_t *slot, uint32_t index, uint8_t *buf, uint32_t len);
HOST(storage_write)(const uint8_t *slot, uint32_t index, const uint8_t *buf, uint32_t len);
HOST(get_balance)(const uint8_t *address, uint8_t *result);
HOST(get_self_balance)(uint8_t *result);
HOST(gl_call)(const uint8_t *request, uint32_t len, uint32_t *result_fd);

enum { SLOT_BYTES = 32, ADDRESS_BYTES = 20, BALANCE_BYTES = 32 };
static const uint32_t NO_RESULT = 0xffffffff;

static const char *const errno_names[] = {
    "success", "overflow", "inval", "fault", "ilseq", "io", "forbidden", "inbalance",
};

static PyObject *raise_errno(uint32_t code)
{
    const char *name = code < Py_ARRAY_LENGTH(errno_names) ? errno_names[code] : "<unknown>";
    PyErr_Format(PyExc_SystemError, "%lu: %s", (unsigned long)code, name);
    return NULL;
}

/* The host reads a fixed number of bytes; what a shorter buffer lacks is zero, so nothing beyond it is read. */
static void copy_fixed(uint8_t *to, size_t size, const Py_buffer *from)
{
    size_t have = (size_t)from->len < size ? (size_t)from->len : size;
    memcpy(to, from->buf, have);
    memset(to + have, 0, size - have);
}

/* Whether an access has the usual types: an id of full length and an offset. Others are taken apart by
 * PyArg_ParseTuple, which costs more than all else of an access. */
static int plain(PyObject *const *args, Py_ssize_t count)
{
    return count == 3 && PyBytes_CheckExact(args[0]) && PyBytes_GET_SIZE(args[0]) == SLOT_BYTES &&
           PyLong_CheckExact(args[1]);
}

static int parse(PyObject *const *args, Py_ssize_t count, const char *format, Py_buffer *slot, unsigned int *off,
                 void *last)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
    int parsed = tuple != NULL && PyArg_ParseTuple(tuple, format, slot, off, last);
    Py_XDECREF(tuple);
    return parsed;
}

static PyObject *storage_read(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer slot, buf;
    unsigned int off;
    if (!parse(args, count, "y*Iw*:storage_read", &slot, &off, &buf))
        return NULL;
    uint8_t id[SLOT_BYTES];
    copy_fixed(id, sizeof id, &slot);
    uint32_t err = host_storage_read(id, off, buf.buf, (uint32_t)buf.len);
    PyBuffer_Release(&slot);
    PyBuffer_Release(&buf);
    if (err != 0)
        return raise_errno(err);
    Py_RETURN_NONE;
}

/* As storage_read, into bytes of its own. */
static PyObject *storage_get(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    uint8_t id[SLOT_BYTES];
    unsigned int off;
    Py_ssize_t length;
    if (plain(args, count) && PyLong_CheckExact(args[2])) {
        memcpy(id, PyBytes_AS_STRING(args[0]), sizeof id);
        off = (unsigned int)PyLong_AsUnsignedLongMask(args[1]);
        length = PyLong_AsSsize_t(args[2]);
        if (length == -1 && PyErr_Occurred())
            return NULL;
    } else {
        Py_buffer slot;
        if (!parse(args, count, "y*In:storage_get", &slot, &off, &length))
            return NULL;
        copy_fixed(id, sizeof id, &slot);
        PyBuffer_Release(&slot);
    }
    if (length < 0)
        return PyErr_Format(PyExc_ValueError, "negative count");
    PyObject *found = PyBytes_FromStringAndSize(NULL, length);
    if (found == NULL)
        return NULL;
    uint32_t err = host_storage_read(id, off, (uint8_t *)PyBytes_AS_STRING(found), (uint32_t)length);
    if (err != 0) {
        Py_DECREF(found);
        return raise_errno(err);
    }
    return found;
}

static PyObject *storage_write(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    uint32_t err;
    if (plain(args, count) && PyBytes_CheckExact(args[2])) {
        err = host_storage_write((const uint8_t *)PyBytes_AS_STRING(args[0]),
                                 (uint32_t)PyLong_AsUnsignedLongMask(args[1]),
                                 (const uint8_t *)PyBytes_AS_STRING(args[2]), (uint32_t)PyBytes_GET_SIZE(args[2]));
    } else {
        Py_buffer slot, data;
        unsigned int off;
        if (!parse(args, count, "y*Iy*:storage_write", &slot, &off, &data))
            return NULL;
        uint8_t id[SLOT_BYTES];
        copy_fixed(id, sizeof id, &slot);
        err = host_storage_write(id, off, data.buf, (uint32_t)data.len);
        PyBuffer_Release(&slot);
        PyBuffer_Release(&data);
    }
    if (err != 0)
        return raise_errno(err);
    Py_RETURN_NONE;
}

static PyObject *balance_to_int(uint32_t err, const uint8_t *balance)
{
    if (err != 0)
        return raise_errno(err);
    return PyLong_FromUnsignedNativeBytes(balance, BALANCE_BYTES, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
}

static PyObject *get_balance(PyObject *self, PyObject *args)
{
    Py_buffer address;
    if (!PyArg_ParseTuple(args, "y*:get_balance", &address))
        return NULL;
    uint8_t id[ADDRESS_BYTES], balance[BALANCE_BYTES] = {0};
    copy_fixed(id, sizeof id, &address);
    PyBuffer_Release(&address);
    return balance_to_int(host_get_balance(id, balance), balance);
}

static PyObject *get_self_balance(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    uint8_t balance[BALANCE_BYTES] = {0};
    return balance_to_int(host_get_self_balance(balance), balance);
}

static PyObject *gl_call(PyObject *self, PyObject *args)
{
    Py_buffer request;
    if (!PyArg_ParseTuple(args, "y*:gl_call", &request))
        return NULL;
    uint32_t fd = NO_RESULT;
    uint32_t err = host_gl_call(request.buf, (uint32_t)request.len, &fd);
    PyBuffer_Release(&request);
    if (err != 0)
        return raise_errno(err);
    return PyLong_FromUnsignedLong(fd);
}

static PyMethodDef functions[] = {
    {"storage_read", (PyCFunction)(void (*)(void))storage_read, METH_FASTCALL, NULL},
    {"storage_get", (PyCFunction)(void (*)(void))storage_get, METH_FASTCALL, NULL},
    {"storage_write", (PyCFunction)(void (*)(void))storage_write, METH_FASTCALL, NULL},
    {"get_balance", get_balance, METH_VARARGS, NULL},
    {"get_self_balance", get_self_balance, METH_NOARGS, NULL},
    {"gl_call", gl_call, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_genlayer_wasi", .m_methods = functions};

PyMODINIT_FUNC PyInit__genlayer_wasi(void)
{
    return PyModuleDef_Init(&module);
}
