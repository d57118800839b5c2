/* Calldata for the SDK (spec executor/01): every call decodes its message and encodes its result, and in Python that was
 * half of a short run.
 *
 * Only what is plain is done here. For whatever is not, faults of all kinds included, the functions return
 * NotImplemented, and genlayer.py.calldata begins anew: what is accepted, and what is said of the rest, stands there. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { DEPTH = 64, ITEMS = 1 << 22, ADDRESS_BYTES = 20, INTEGER_BYTES = 40, GROUPS = (8 * INTEGER_BYTES + 3) / 7 };
enum { SPECIAL, POSITIVE, NEGATIVE, BYTES, TEXT, ARRAY, MAP };
enum { NONE = 0x00, FALSE = 0x08, TRUE = 0x10, ADDRESS = 0x18 };

static PyObject *as_bytes_name, *as_hex_name;

/* --- decoding: NULL without an exception is for what is not plain --- */

typedef struct {
    const uint8_t *at, *end;
    PyObject *address;
    uint32_t items;
} Reader;

/* The groups of a number, whose last one is not zero; 0 if there are none, or too many. */
static int read_groups(Reader *in, const uint8_t **groups)
{
    *groups = in->at;
    for (int count = 1; in->at < in->end && count <= GROUPS; count++) {
        uint8_t group = *in->at++;
        if (group < 0x80)
            return group == 0 && count > 1 ? 0 : count;
    }
    return 0;
}

/* A count or length that fits into 32 bits; `skip` bits of the first group are not part of it. */
static int small(const uint8_t *groups, int count, int skip, uint32_t *number)
{
    uint64_t value = (groups[0] & 0x7f) >> skip;
    if (count > 6)
        return 0;
    for (int i = 1; i < count; i++)
        value |= (uint64_t)(groups[i] & 0x7f) << (7 * i - skip);
    *number = (uint32_t)value;
    return value <= UINT32_MAX;
}

static PyObject *integer(const uint8_t *groups, int count, int kind)
{
    uint8_t packed[INTEGER_BYTES + 1] = {0};
    uint32_t bits = (groups[0] & 0x7f) >> 3;
    int have = 4, size = 0;
    for (int i = 1; i < count; i++) {
        bits |= (uint32_t)(groups[i] & 0x7f) << have;
        for (have += 7; have >= 8; have -= 8, bits >>= 8)
            packed[size++] = (uint8_t)bits;
    }
    packed[size++] = (uint8_t)bits;
    if (size == 1)
        return PyLong_FromLong(kind == POSITIVE ? (long)bits : ~(long)bits);
    PyObject *number = PyLong_FromUnsignedNativeBytes(packed, size, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    if (number == NULL || kind == POSITIVE)
        return number;
    PyObject *negative = PyNumber_Invert(number);
    Py_DECREF(number);
    return negative;
}

static const uint8_t *take(Reader *in, uint32_t size)
{
    const uint8_t *start = in->at;
    if (size > (size_t)(in->end - start))
        return NULL;
    in->at += size;
    return start;
}

static PyObject *text(const uint8_t *start, uint32_t size)
{
    if (start == NULL)
        return NULL;
    PyObject *found = PyUnicode_DecodeUTF8((const char *)start, size, NULL);
    if (found == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        PyErr_Clear();
    return found;
}

static PyObject *read_value(Reader *in, int depth);

static PyObject *array(Reader *in, uint32_t count, int depth)
{
    PyObject *list = PyList_New(0);
    while (list != NULL && count-- > 0) {
        PyObject *item = read_value(in, depth);
        if (item == NULL || PyList_Append(list, item) != 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *map(Reader *in, uint32_t count, int depth)
{
    PyObject *dict = PyDict_New();
    const uint8_t *groups, *before = NULL;
    uint32_t size = 0, size_before = 0;
    while (dict != NULL && count-- > 0) {
        int length = read_groups(in, &groups);
        const uint8_t *start = length > 0 && small(groups, length, 0, &size) ? take(in, size) : NULL;
        PyObject *key = NULL, *value = NULL;
        if (start != NULL && before != NULL) {
            /* The order of UTF-8 is that of its characters. */
            int order = memcmp(before, start, size_before < size ? size_before : size);
            if (order > 0 || (order == 0 && size_before >= size))
                start = NULL;
        }
        if (start != NULL && (key = text(start, size)) != NULL)
            value = read_value(in, depth);
        if (value == NULL || PyDict_SetItem(dict, key, value) != 0)
            Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
        before = start;
        size_before = size;
    }
    return dict;
}

static PyObject *read_address(Reader *in)
{
    const uint8_t *start = take(in, ADDRESS_BYTES);
    PyObject *raw = start == NULL ? NULL : PyBytes_FromStringAndSize((const char *)start, ADDRESS_BYTES);
    PyTypeObject *type = (PyTypeObject *)in->address;
    /* What the constructor makes of 20 bytes, at a fifth of its price. */
    PyObject *address = raw == NULL ? NULL : type->tp_alloc(type, 0);
    if (address != NULL && (PyObject_SetAttr(address, as_bytes_name, raw) != 0 ||
                            PyObject_SetAttr(address, as_hex_name, Py_None) != 0))
        Py_CLEAR(address);
    Py_XDECREF(raw);
    return address;
}

static PyObject *read_value(Reader *in, int depth)
{
    const uint8_t *groups, *start;
    uint32_t number;
    int count = read_groups(in, &groups);
    if (count == 0)
        return NULL;
    int kind = groups[0] & 7;
    if (kind == POSITIVE || kind == NEGATIVE)
        return integer(groups, count, kind);
    if (!small(groups, count, 3, &number))
        return NULL;
    switch (kind) {
    case BYTES:
        start = take(in, number);
        return start == NULL ? NULL : PyBytes_FromStringAndSize((const char *)start, number);
    case TEXT:
        return text(take(in, number), number);
    case ARRAY:
    case MAP:
        if (number > in->items || (number > 0 && depth == DEPTH))
            return NULL;
        in->items -= number;
        return kind == ARRAY ? array(in, number, depth + 1) : map(in, number, depth + 1);
    case SPECIAL:
        if (count > 1)
            return NULL;
        switch (groups[0]) {
        case NONE:
            Py_RETURN_NONE;
        case FALSE:
            Py_RETURN_FALSE;
        case TRUE:
            Py_RETURN_TRUE;
        case ADDRESS:
            return read_address(in);
        }
    }
    return NULL;
}

static PyObject *decode(PyObject *Py_UNUSED(self), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_CheckExact(arguments[0]) || !PyType_Check(arguments[1]))
        return PyErr_Format(PyExc_TypeError, "decode takes bytes and the class of addresses");
    const uint8_t *data = (const uint8_t *)PyBytes_AS_STRING(arguments[0]);
    Reader in = {data, data + PyBytes_GET_SIZE(arguments[0]), arguments[1], ITEMS};
    PyObject *value = read_value(&in, 0);
    if (value != NULL && in.at != in.end)
        Py_CLEAR(value);
    if (value == NULL && !PyErr_Occurred())
        Py_RETURN_NOTIMPLEMENTED;
    return value;
}

/* --- encoding: 1 for what is written, 0 for what is not plain, -1 for exceptions --- */

typedef struct {
    uint8_t *data;
    size_t used, room;
    PyObject *address;
    Py_ssize_t items;
    uint8_t first[512];
} Writer;

static int put(Writer *out, const void *data, size_t size)
{
    if (out->used + size > out->room) {
        size_t room = 2 * (out->used + size);
        uint8_t *more = PyMem_Realloc(out->data == out->first ? NULL : out->data, room);
        if (more == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        if (out->data == out->first)
            memcpy(more, out->first, out->used);
        out->data = more;
        out->room = room;
    }
    memcpy(out->data + out->used, data, size);
    out->used += size;
    return 1;
}

/* The groups of `number << skip | low`. */
static int put_number(Writer *out, uint64_t number, int skip, uint8_t low)
{
    uint8_t groups[10];
    int count = 0;
    uint8_t group = (uint8_t)(number << skip | low) & 0x7f;
    for (number >>= 7 - skip; number > 0; number >>= 7) {
        groups[count++] = group | 0x80;
        group = number & 0x7f;
    }
    groups[count++] = group;
    return put(out, groups, count);
}

static int put_integer(Writer *out, PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0)
        return number >= 0 ? put_number(out, number, 3, POSITIVE) : put_number(out, ~number, 3, NEGATIVE);
    uint8_t packed[INTEGER_BYTES] = {0}, groups[GROUPS + 1];
    int flags = Py_ASNATIVEBYTES_LITTLE_ENDIAN | Py_ASNATIVEBYTES_UNSIGNED_BUFFER;
    PyObject *positive = overflow > 0 ? Py_NewRef(value) : PyNumber_Invert(value);
    Py_ssize_t size = positive == NULL ? -1 : PyLong_AsNativeBytes(positive, packed, INTEGER_BYTES, flags);
    Py_XDECREF(positive);
    if (size < 0)
        return -1;
    if (size > INTEGER_BYTES)
        return 0;
    uint32_t bits = overflow > 0 ? POSITIVE : NEGATIVE;
    int have = 3, count = 0;
    for (int i = 0; i < INTEGER_BYTES; i++) {
        bits |= (uint32_t)packed[i] << have;
        for (have += 8; have >= 7; have -= 7, bits >>= 7)
            groups[count++] = (bits & 0x7f) | 0x80;
    }
    groups[count++] = bits | 0x80;
    while (groups[count - 1] == 0x80)
        count--;
    groups[count - 1] &= 0x7f;
    return put(out, groups, count);
}

static int put_bytes(Writer *out, const void *data, Py_ssize_t size, int skip, uint8_t low)
{
    int done = put_number(out, size, skip, low);
    return done > 0 ? put(out, data, size) : done;
}

static int put_text(Writer *out, PyObject *value, int skip, uint8_t low)
{
    if (PyUnicode_IS_COMPACT_ASCII(value))
        return put_bytes(out, PyUnicode_1BYTE_DATA(value), PyUnicode_GET_LENGTH(value), skip, low);
    PyObject *raw = PyUnicode_AsUTF8String(value);
    if (raw == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    int done = put_bytes(out, PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), skip, low);
    Py_DECREF(raw);
    return done;
}

static int put_address(Writer *out, PyObject *value)
{
    PyObject *raw = PyObject_GetAttr(value, as_bytes_name);
    if (raw == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    int done = 0;
    if (PyBytes_CheckExact(raw) && PyBytes_GET_SIZE(raw) == ADDRESS_BYTES && (done = put_number(out, ADDRESS, 0, 0)) > 0)
        done = put(out, PyBytes_AS_STRING(raw), ADDRESS_BYTES);
    Py_DECREF(raw);
    return done;
}

static int put_value(Writer *out, PyObject *value, int depth);

/* A value in a container. Addresses may run code of the contract, which may take it out of there: NULL is what is gone. */
static int put_item(Writer *out, PyObject *value, int depth)
{
    if (value == NULL)
        return PyErr_Occurred() ? -1 : 0;
    Py_INCREF(value);
    int done = put_value(out, value, depth);
    Py_DECREF(value);
    return done;
}

static int put_map(Writer *out, PyObject *value, int depth)
{
    PyObject *keys = PyDict_Keys(value);
    int done = keys == NULL ? -1 : 1;
    for (Py_ssize_t i = 0; done > 0 && i < PyList_GET_SIZE(keys); i++)
        done = PyUnicode_CheckExact(PyList_GET_ITEM(keys, i));
    if (done > 0 && PyList_Sort(keys) != 0)
        done = -1;
    for (Py_ssize_t i = 0; done > 0 && i < PyList_GET_SIZE(keys); i++) {
        PyObject *key = PyList_GET_ITEM(keys, i);
        if ((done = put_text(out, key, 0, 0)) > 0)
            done = put_item(out, PyDict_GetItemWithError(value, key), depth);
    }
    Py_XDECREF(keys);
    return done;
}

static int put_value(Writer *out, PyObject *value, int depth)
{
    if (PyUnicode_CheckExact(value))
        return put_text(out, value, 3, TEXT);
    if (PyLong_CheckExact(value))
        return put_integer(out, value);
    if (value == Py_None || value == Py_False || value == Py_True)
        return put_number(out, value == Py_None ? NONE : value == Py_False ? FALSE : TRUE, 0, 0);
    if (PyBytes_CheckExact(value))
        return put_bytes(out, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), 3, BYTES);
    if (Py_IS_TYPE(value, (PyTypeObject *)out->address))
        return put_address(out, value);
    int is_map = PyDict_CheckExact(value);
    if (!is_map && !PyList_CheckExact(value) && !PyTuple_CheckExact(value))
        return 0;
    Py_ssize_t count = is_map ? PyDict_GET_SIZE(value) : PySequence_Fast_GET_SIZE(value);
    if (count > out->items || (count > 0 && depth == DEPTH))
        return 0;
    out->items -= count;
    int done = put_number(out, count, 3, is_map ? MAP : ARRAY);
    if (is_map)
        return done > 0 ? put_map(out, value, depth + 1) : done;
    for (Py_ssize_t i = 0; done > 0 && i < count; i++)
        done = put_item(out, i < PySequence_Fast_GET_SIZE(value) ? PySequence_Fast_GET_ITEM(value, i) : NULL, depth + 1);
    return done;
}

static PyObject *encode(PyObject *Py_UNUSED(self), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "encode takes a value and the class of addresses");
    Writer out = {.data = out.first, .room = sizeof out.first, .address = arguments[1], .items = ITEMS};
    int done = put_value(&out, arguments[0], 0);
    PyObject *encoded = NULL;
    if (done > 0)
        encoded = PyBytes_FromStringAndSize((const char *)out.data, out.used);
    else if (done == 0)
        encoded = Py_NewRef(Py_NotImplemented);
    if (out.data != out.first)
        PyMem_Free(out.data);
    return encoded;
}

static PyMethodDef functions[] = {
    {"decode", (PyCFunction)(void (*)(void))decode, METH_FASTCALL, NULL},
    {"encode", (PyCFunction)(void (*)(void))encode, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_genlayer_calldata", .m_methods = functions};

PyMODINIT_FUNC PyInit__genlayer_calldata(void)
{
    as_bytes_name = PyUnicode_InternFromString("_as_bytes");
    as_hex_name = PyUnicode_InternFromString("_as_hex");
    return as_bytes_name == NULL || as_hex_name == NULL ? NULL : PyModuleDef_Init(&module);
}
