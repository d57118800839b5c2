/* What the SDK computes for each access of storage: ids of slots and numbers (spec sdk/02 sections 1, 2). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 25, SHA3_RATE = 136, ID_BYTES = 32, OFFSET_BYTES = 4 };

/* The permutation of SHA3; that of the standard library has three times the instructions. */
extern void genlayer_keccak_permute(uint64_t lanes[LANES]);

typedef struct {
    uint64_t lanes[LANES];
    size_t used;
} Sponge;

static void absorb(Sponge *sponge, const uint8_t *data, size_t size)
{
    uint8_t *state = (uint8_t *)sponge->lanes;
    for (size_t i = 0; i < size; i++) {
        state[sponge->used++] ^= data[i];
        if (sponge->used == SHA3_RATE) {
            genlayer_keccak_permute(sponge->lanes);
            sponge->used = 0;
        }
    }
}

/* Id of the slot of what the value at `off` of slot `id` does not hold in place (spec sdk/02 section 1):
 * SHA3-256(id, off in 4 bytes). What is not a plain offset is converted, or refused, by int.to_bytes. */
static PyObject *indirect(PyObject *Py_UNUSED(self), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "indirect takes an id and an offset");
    PyObject *off = arguments[1];
    Sponge sponge = {{0}, 0};
    Py_buffer id;
    if (PyObject_GetBuffer(arguments[0], &id, PyBUF_SIMPLE) != 0)
        return NULL;
    absorb(&sponge, id.buf, id.len);
    PyBuffer_Release(&id);
    int overflow;
    long long number = PyLong_CheckExact(off) ? PyLong_AsLongLongAndOverflow(off, &overflow) : -1;
    if (number >= 0 && number <= UINT32_MAX) {
        absorb(&sponge, (const uint8_t *)&number, OFFSET_BYTES); /* WebAssembly is little-endian */
    } else {
        PyObject *packed = PyObject_CallMethod(off, "to_bytes", "is", OFFSET_BYTES, "little");
        if (packed == NULL)
            return NULL;
        if (!PyBytes_Check(packed) || PyBytes_GET_SIZE(packed) != OFFSET_BYTES) {
            Py_DECREF(packed);
            return PyErr_Format(PyExc_TypeError, "to_bytes of an offset gives %d bytes", OFFSET_BYTES);
        }
        absorb(&sponge, (const uint8_t *)PyBytes_AS_STRING(packed), OFFSET_BYTES);
        Py_DECREF(packed);
    }
    uint8_t *state = (uint8_t *)sponge.lanes;
    state[sponge.used] ^= 0x06;
    state[SHA3_RATE - 1] ^= 0x80;
    genlayer_keccak_permute(sponge.lanes);
    return PyBytes_FromStringAndSize((const char *)state, ID_BYTES);
}

/* int.from_bytes(raw, "little", signed=signed). What is common is a small number in a large type. */
static PyObject *to_number(const uint8_t *raw, Py_ssize_t size, int is_signed)
{
    uint64_t value = 0;
    if (is_signed && size > 0 && raw[size - 1] >= 0x80)
        return PyLong_FromNativeBytes(raw, size, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    while (size > 0 && raw[size - 1] == 0)
        size--;
    if (size > (Py_ssize_t)sizeof value)
        return PyLong_FromUnsignedNativeBytes(raw, size, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    memcpy(&value, raw, size);
    return PyLong_FromUnsignedLongLong(value);
}

static PyObject *number(PyObject *Py_UNUSED(self), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "number takes bytes and whether they have a sign");
    PyObject *raw = PyObject_Bytes(arguments[0]); /* the same object if it is bytes */
    if (raw == NULL)
        return NULL;
    PyObject *found =
        to_number((const uint8_t *)PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), arguments[1] == Py_True);
    Py_DECREF(raw);
    return found;
}

static PyMethodDef functions[] = {
    {"indirect", (PyCFunction)(void (*)(void))indirect, METH_FASTCALL, NULL},
    {"number", (PyCFunction)(void (*)(void))number, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_genlayer_storage", .m_methods = functions};

PyMODINIT_FUNC PyInit__genlayer_storage(void) { return PyModuleDef_Init(&module); }
