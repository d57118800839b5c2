/* Keccak-f[1600] for the SDK: events, checksums of addresses and EVM calls need it, and in Python one call of it costs as
 * much as all else in a short run. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 25, ROUNDS = 24, STATE_BYTES = 8 * LANES };

static const uint64_t CONSTANTS[ROUNDS] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};
/* In the order in which lanes move: each goes to the place of the next. */
static const int PLACES[ROUNDS] = {10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                                   15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1};
static const int ROTATIONS[ROUNDS] = {1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                      27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44};

static uint64_t rotated(uint64_t lane, int bits) { return lane << bits | lane >> (64 - bits); }

/* All loops within a round are unrolled, so that lanes are variables and not memory: a third of the instructions.
 * _genlayer_storage.c uses it too. */
void genlayer_keccak_permute(uint64_t given[LANES])
{
    uint64_t lanes[LANES];
    memcpy(lanes, given, sizeof lanes);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t columns[5];
#pragma clang loop unroll(full)
        for (int x = 0; x < 5; x++)
            columns[x] = lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20];
#pragma clang loop unroll(full)
        for (int x = 0; x < 5; x++) {
            uint64_t change = columns[(x + 4) % 5] ^ rotated(columns[(x + 1) % 5], 1);
#pragma clang loop unroll(full)
            for (int y = 0; y < LANES; y += 5)
                lanes[y + x] ^= change;
        }
        uint64_t moved = lanes[1];
#pragma clang loop unroll(full)
        for (int i = 0; i < ROUNDS; i++) {
            uint64_t next = lanes[PLACES[i]];
            lanes[PLACES[i]] = rotated(moved, ROTATIONS[i]);
            moved = next;
        }
#pragma clang loop unroll(full)
        for (int y = 0; y < LANES; y += 5) {
            uint64_t row[5];
            memcpy(row, lanes + y, sizeof row);
#pragma clang loop unroll(full)
            for (int x = 0; x < 5; x++)
                lanes[y + x] ^= ~row[(x + 1) % 5] & row[(x + 2) % 5];
        }
        lanes[0] ^= CONSTANTS[round];
    }
    memcpy(given, lanes, sizeof lanes);
}

/* The state after one block, which may be empty. */
static PyObject *absorbed(PyObject *state, PyObject *block)
{
    uint64_t lanes[LANES]; /* WebAssembly is little-endian, and so are the lanes */
    Py_buffer view;
    if (PyObject_GetBuffer(state, &view, PyBUF_SIMPLE) != 0)
        return NULL;
    Py_ssize_t size = view.len;
    if (size == STATE_BYTES)
        memcpy(lanes, view.buf, STATE_BYTES);
    PyBuffer_Release(&view);
    if (size != STATE_BYTES)
        return PyErr_Format(PyExc_ValueError, "a state has %d bytes", STATE_BYTES);
    if (block != NULL) {
        if (PyObject_GetBuffer(block, &view, PyBUF_SIMPLE) != 0)
            return NULL;
        size = view.len;
        for (Py_ssize_t i = 0; size <= STATE_BYTES && i < size; i++)
            ((uint8_t *)lanes)[i] ^= ((const uint8_t *)view.buf)[i];
        PyBuffer_Release(&view);
        if (size > STATE_BYTES)
            return PyErr_Format(PyExc_ValueError, "a block has at most %d bytes", STATE_BYTES);
    }
    genlayer_keccak_permute(lanes);
    return PyBytes_FromStringAndSize((const char *)lanes, STATE_BYTES);
}

static PyObject *permute(PyObject *Py_UNUSED(self), PyObject *state) { return absorbed(state, NULL); }

static PyObject *absorb(PyObject *Py_UNUSED(self), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "absorb takes a state and a block");
    return absorbed(arguments[0], arguments[1]);
}

static PyMethodDef functions[] = {
    {"absorb", (PyCFunction)(void (*)(void))absorb, METH_FASTCALL, NULL},
    {"permute", permute, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_genlayer_keccak", .m_methods = functions};

PyMODINIT_FUNC PyInit__genlayer_keccak(void) { return PyModuleDef_Init(&module); }
