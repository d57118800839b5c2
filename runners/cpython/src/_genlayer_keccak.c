/* Keccak-f[1600] for the SDK: events, checksums of addresses and EVM calls need it, and in Python one call of it costs as
 * much as all else in a short run. Ids of slots are SHA3-256, which is the same permutation; that of the standard library
 * takes six times as long. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 25, ROUNDS = 24, STATE_BYTES = 8 * LANES, SHA3_RATE = 136, ID_BYTES = 32, OFFSET_BYTES = 4 };

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

/* All loops within a round are unrolled, so that lanes are variables and not memory: a third of the instructions. */
static void permute_lanes(uint64_t given[LANES])
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

static PyObject *permute(PyObject *Py_UNUSED(self), PyObject *argument)
{
    uint64_t lanes[LANES]; /* WebAssembly is little-endian, and so are the lanes */
    Py_buffer state;
    if (PyObject_GetBuffer(argument, &state, PyBUF_SIMPLE) != 0)
        return NULL;
    if (state.len != STATE_BYTES) {
        PyBuffer_Release(&state);
        return PyErr_Format(PyExc_ValueError, "a state has %d bytes", STATE_BYTES);
    }
    memcpy(lanes, state.buf, STATE_BYTES);
    PyBuffer_Release(&state);
    permute_lanes(lanes);
    return PyBytes_FromStringAndSize((const char *)lanes, STATE_BYTES);
}

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
            permute_lanes(sponge->lanes);
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
        absorb(&sponge, (const uint8_t *)PyBytes_AsString(packed), OFFSET_BYTES);
        Py_DECREF(packed);
    }
    uint8_t *state = (uint8_t *)sponge.lanes;
    state[sponge.used] ^= 0x06;
    state[SHA3_RATE - 1] ^= 0x80;
    permute_lanes(sponge.lanes);
    return PyBytes_FromStringAndSize((const char *)state, ID_BYTES);
}

static PyMethodDef functions[] = {
    {"indirect", (PyCFunction)(void (*)(void))indirect, METH_FASTCALL, NULL},
    {"permute", permute, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_genlayer_keccak", .m_methods = functions};

PyMODINIT_FUNC PyInit__genlayer_keccak(void) { return PyModuleDef_Init(&module); }
