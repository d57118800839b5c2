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

static PyObject *content(const uint8_t *id, uint32_t off, Py_ssize_t length)
{
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
    return content(id, off, length);
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

/* --- searching a TreeMap: the requests of TreeMap._seek, without its objects --- */

static PyObject *id_name, *indirect_name;

enum { UNSIGNED, SIGNED, ADDRESS, TEXT }; /* kinds of keys, as in genlayer.py.storage.tree_map */
enum { INTEGER_BYTES = 32, LINKS_BYTES = 9, AT_ONCE_BYTES = 512 };

typedef struct {
    int kind;
    uint32_t size;
    PyObject *object;
    uint8_t bytes[INTEGER_BYTES]; /* as in storage */
} Key;

/* 0 where the key is none that the map could hold: Python says what becomes of it. */
static int take_key(Key *key, PyObject *object, uint32_t size, int kind)
{
    key->kind = kind;
    key->size = size;
    key->object = object;
    if (kind == TEXT)
        return PyUnicode_CheckExact(object) && size == 4;
    if (kind == ADDRESS) {
        if (!PyBytes_CheckExact(object) || PyBytes_GET_SIZE(object) != size || size != ADDRESS_BYTES)
            return 0;
        memcpy(key->bytes, PyBytes_AS_STRING(object), size);
        return 1;
    }
    int overflow, flags = Py_ASNATIVEBYTES_LITTLE_ENDIAN;
    if ((kind != UNSIGNED && kind != SIGNED) || !PyLong_CheckExact(object) || size == 0 || size > INTEGER_BYTES)
        return 0;
    if (kind == UNSIGNED) {
        if (PyLong_AsLongLongAndOverflow(object, &overflow) < 0 && overflow <= 0)
            return 0;
        flags |= Py_ASNATIVEBYTES_UNSIGNED_BUFFER;
    }
    Py_ssize_t needed = PyLong_AsNativeBytes(object, key->bytes, size, flags);
    return needed > 0 && needed <= size;
}

/* Text whose length is at `off` of a slot. */
static PyObject *text_below(PyObject *slot, uint64_t off, uint32_t length)
{
    if (length == 0)
        return PyUnicode_FromString("");
    PyObject *number = PyLong_FromUnsignedLongLong(off);
    PyObject *below = number == NULL ? NULL : PyObject_CallMethodOneArg(slot, indirect_name, number);
    PyObject *id = below == NULL ? NULL : PyObject_GetAttr(below, id_name);
    PyObject *data = NULL, *text = NULL;
    if (id != NULL && PyBytes_CheckExact(id) && PyBytes_GET_SIZE(id) == SLOT_BYTES)
        data = content((const uint8_t *)PyBytes_AS_STRING(id), 0, length);
    else if (id != NULL)
        PyErr_Format(PyExc_TypeError, "the id of a slot has %d bytes", SLOT_BYTES);
    if (data != NULL)
        text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(data), length, NULL);
    Py_XDECREF(number);
    Py_XDECREF(below);
    Py_XDECREF(id);
    Py_XDECREF(data);
    return text;
}

/* Less than, equal to or greater than 0, as the key is to that of a node, of which `raw` is in place at `base`.
 * With an exception set, anything. */
static int compared(const Key *key, const uint8_t *raw, PyObject *slab, uint64_t base)
{
    if (key->kind == ADDRESS)
        return memcmp(key->bytes, raw, key->size);
    if (key->kind != TEXT) {
        uint8_t sign = key->kind == SIGNED ? 0x80 : 0;
        for (uint32_t i = key->size; i-- > 0; sign = 0)
            if (key->bytes[i] != raw[i])
                return (key->bytes[i] ^ sign) < (raw[i] ^ sign) ? -1 : 1;
        return 0;
    }
    uint32_t length;
    memcpy(&length, raw, sizeof length);
    PyObject *found = text_below(slab, base, length);
    int order = found == NULL ? 0 : PyUnicode_Compare(key->object, found);
    Py_XDECREF(found);
    return order;
}

/* Appends [no, less, left, right, balance]. */
static int add_step(PyObject *path, uint32_t no, int less, uint32_t left, uint32_t right, int8_t balance)
{
    PyObject *step = PyList_New(5), *items[] = {
        PyLong_FromUnsignedLong(no), PyBool_FromLong(less), PyLong_FromUnsignedLong(left),
        PyLong_FromUnsignedLong(right), PyLong_FromLong(balance),
    };
    int complete = step != NULL;
    for (int i = 0; i < 5; i++) {
        complete &= items[i] != NULL;
        if (step == NULL)
            Py_XDECREF(items[i]);
        else
            PyList_SET_ITEM(step, i, items[i]);
    }
    complete = complete && PyList_Append(path, step) == 0;
    Py_XDECREF(step);
    return complete;
}

/* storage_find_node(slab, no, key, kind, sizes, path): number of the node with `key` in the tree below `no`, or 0; None where
 * it is for Python to search. `sizes` is (size of a node, of its key, offset of its links, whether it is read at once).
 * `path` gets a list [no, whether the key is less, left, right, balance] for each node on the way. */
static PyObject *storage_find_node(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    unsigned int no, node_size, key_size, links_off;
    int at_once;
    Key key;
    uint8_t node[AT_ONCE_BYTES], id[SLOT_BYTES], links[LINKS_BYTES];
    if (count != 6 || !PyTuple_Check(args[4]) || !PyList_CheckExact(args[5]))
        return PyErr_Format(PyExc_TypeError, "storage_find_node takes a slot, a node, a key, its kind, sizes and a list");
    if (!PyArg_ParseTuple(args[4], "IIIp", &node_size, &key_size, &links_off, &at_once))
        return NULL;
    PyObject *slab = args[0], *path = args[5], *slab_id = PyObject_GetAttr(slab, id_name);
    if (slab_id == NULL)
        return NULL;
    int fits = PyBytes_CheckExact(slab_id) && PyBytes_GET_SIZE(slab_id) == SLOT_BYTES &&
               take_key(&key, args[2], key_size, (int)PyLong_AsLong(args[3])) &&
               (at_once ? links_off + LINKS_BYTES == node_size && node_size <= sizeof node : key_size <= sizeof node);
    if (fits)
        memcpy(id, PyBytes_AS_STRING(slab_id), sizeof id);
    Py_DECREF(slab_id);
    no = (unsigned int)PyLong_AsUnsignedLongMask(args[1]);
    if (PyErr_Occurred())
        return NULL;
    if (!fits)
        Py_RETURN_NONE;
    while (no != 0) {
        uint64_t base = (uint64_t)(no - 1) * node_size;
        uint32_t err = host_storage_read(id, (uint32_t)base, node, at_once ? node_size : key_size);
        if (err == 0 && !at_once)
            err = host_storage_read(id, (uint32_t)(base + links_off), links, sizeof links);
        if (err != 0)
            return raise_errno(err);
        if (at_once)
            memcpy(links, node + links_off, sizeof links);
        uint32_t left, right;
        memcpy(&left, links, sizeof left);
        memcpy(&right, links + sizeof left, sizeof right);
        int order = compared(&key, node, slab, base);
        if (PyErr_Occurred())
            return NULL;
        if (!add_step(path, no, order < 0, left, right, (int8_t)links[LINKS_BYTES - 1]))
            return NULL;
        if (order == 0)
            break;
        no = order < 0 ? left : right;
    }
    return PyLong_FromUnsignedLong(no);
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
    {"storage_find_node", (PyCFunction)(void (*)(void))storage_find_node, METH_FASTCALL, NULL},
    {"storage_write", (PyCFunction)(void (*)(void))storage_write, METH_FASTCALL, NULL},
    {"get_balance", get_balance, METH_VARARGS, NULL},
    {"get_self_balance", get_self_balance, METH_NOARGS, NULL},
    {"gl_call", gl_call, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_genlayer_wasi", .m_methods = functions};

PyMODINIT_FUNC PyInit__genlayer_wasi(void)
{
    id_name = PyUnicode_InternFromString("id");
    indirect_name = PyUnicode_InternFromString("indirect");
    return id_name == NULL || indirect_name == NULL ? NULL : PyModuleDef_Init(&module);
}
