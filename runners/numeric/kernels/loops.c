/* NumPy's inner loops for float32 and float64, in integer code (docs/floats.md "NumPy").
 *
 * `X__soft` leaves the bits that `X` of NumPy leaves, by the same operations in the same order. The soft-float rewriter
 * makes it take the place of `X`; with hardware floats nobody calls it.
 */
#include "f32.h"
#include "f32_product.h"
#include "f64.h"

typedef intptr_t npy_intp;

#define UNUSED __attribute__((unused))
/* Stays in the module although nothing calls it. */
#define KERNEL __attribute__((used))
#define LOOP(name) \
    KERNEL void name##__soft(char **args, npy_intp const *dimensions, npy_intp const *steps, void *data UNUSED)

/* ---- element by element ---- */

#define LOAD(f, at) (*(const f##_t *)(at))
#define STORE(f, at, value) (*(f##_t *)(at) = (value))
typedef uint32_t f32_t;
typedef uint64_t f64_t;

enum { PAIRWISE_BLOCK = 128 };

/* Loops whose reduction is one sum of pairwise sums (add), and one operation after the other (all others). */
#define REDUCE_PAIRWISE(f, op) STORE(f, dst, f##_add(LOAD(f, dst), f##_pairwise_sum(src1, len, ssrc1)))
#define REDUCE_IN_ORDER(f, op)                                                    \
    f##_t result = LOAD(f, dst);                                                  \
    for (; len > 0; --len, src1 += ssrc1) result = op(result, LOAD(f, src1));     \
    STORE(f, dst, result)

#define BINARY(name, f, op, REDUCE)                                                   \
    LOOP(name) {                                                                      \
        npy_intp len = dimensions[0], ssrc0 = steps[0], ssrc1 = steps[1], sdst = steps[2]; \
        char *src0 = args[0], *src1 = args[1], *dst = args[2];                        \
        if (ssrc0 == 0 && ssrc0 == sdst && src0 == dst) {                             \
            REDUCE(f, op);                                                            \
            return;                                                                   \
        }                                                                             \
        for (; len > 0; --len, src0 += ssrc0, src1 += ssrc1, dst += sdst)             \
            STORE(f, dst, op(LOAD(f, src0), LOAD(f, src1)));                          \
    }

#define UNARY(name, f, op)                                                            \
    LOOP(name) {                                                                      \
        npy_intp len = dimensions[0], ssrc = steps[0], sdst = steps[1];               \
        char *src = args[0], *dst = args[1];                                          \
        for (; len > 0; --len, src += ssrc, dst += sdst) STORE(f, dst, op(LOAD(f, src))); \
    }

#define PAIRWISE_SUM(f, MINUS_ZERO)                                                   \
    static f##_t f##_pairwise_sum(char *a, npy_intp n, npy_intp stride) {             \
        if (n < 8) {                                                                  \
            f##_t sum = MINUS_ZERO;                                                   \
            for (; n > 0; n--, a += stride) sum = f##_add(sum, LOAD(f, a));           \
            return sum;                                                               \
        }                                                                             \
        if (n <= PAIRWISE_BLOCK) {                                                    \
            f##_t r[8];                                                               \
            for (int j = 0; j < 8; j++, a += stride) r[j] = LOAD(f, a);               \
            for (n -= 8; n >= 8; n -= 8)                                              \
                for (int j = 0; j < 8; j++, a += stride) r[j] = f##_add(r[j], LOAD(f, a)); \
            f##_t sum = f##_add(f##_add(f##_add(r[0], r[1]), f##_add(r[2], r[3])),    \
                                f##_add(f##_add(r[4], r[5]), f##_add(r[6], r[7])));   \
            for (; n > 0; n--, a += stride) sum = f##_add(sum, LOAD(f, a));           \
            return sum;                                                               \
        }                                                                             \
        npy_intp half = n / 2;                                                        \
        half -= half % 8;                                                             \
        f##_t sum = f##_pairwise_sum(a, half, stride);                                \
        return f##_add(sum, f##_pairwise_sum(a + half * stride, n - half, stride));   \
    }

PAIRWISE_SUM(f32, F32_SIGN)
PAIRWISE_SUM(f64, F64_SIGN)

static inline f32_t f32_square(f32_t a) { return f32_mul(a, a); }
static inline f64_t f64_square(f64_t a) { return f64_mul(a, a); }
static inline f32_t f32_reciprocal(f32_t a) { return f32_div(UINT32_C(0x3F800000), a); }

BINARY(FLOAT_add, f32, f32_add, REDUCE_PAIRWISE)
BINARY(FLOAT_subtract, f32, f32_sub, REDUCE_IN_ORDER)
BINARY(FLOAT_multiply, f32, f32_mul, REDUCE_IN_ORDER)
BINARY(FLOAT_divide, f32, f32_div, REDUCE_IN_ORDER)
UNARY(FLOAT_square, f32, f32_square)
UNARY(FLOAT_reciprocal, f32, f32_reciprocal)

BINARY(DOUBLE_add, f64, f64_add, REDUCE_PAIRWISE)
BINARY(DOUBLE_subtract, f64, f64_sub, REDUCE_IN_ORDER)
BINARY(DOUBLE_multiply, f64, f64_mul, REDUCE_IN_ORDER)
UNARY(DOUBLE_square, f64, f64_square)

/* ---- products ---- */

#define DOT(f)                                                                                       \
    static f##_t f##_dot(f##_t sum, const char *a, npy_intp step_a, const char *b, npy_intp step_b, npy_intp n) { \
        for (; n > 0; n--, a += step_a, b += step_b) sum = f##_add(sum, f##_mul(LOAD(f, a), LOAD(f, b)));         \
        return sum;                                                                                  \
    }

DOT(f32)
DOT(f64)

/* Columns that are summed side by side, and rows for which the columns are unpacked once. */
enum { WIDTH = 4, ROWS = 16 };

static int32_t unpack_run(struct part *parts, size_t width, const char *from, npy_intp step, npy_intp n) {
    int32_t largest = 0;
    for (; n > 0; n--, from += step, parts += width) *parts = unpack(LOAD(f32, from), &largest);
    return largest;
}

/* Adds a run of products to `width` sums in fixed point; false for those that cannot be had in this way. */
static inline __attribute__((always_inline)) void add_run(
    int64_t *sums, bool *fit, size_t width, const int32_t *units, const struct part *a, const struct part *b, npy_intp n) {
    int64_t sum[WIDTH];
    int32_t below[WIDTH];
    for (size_t i = 0; i < width; i++) sum[i] = sums[i], below[i] = 0;
    for (; n > 0; n--, a++, b += width) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < width; i++) {
            int32_t place = a->exponent + b[i].exponent - units[i];
            below[i] |= place;
            sum[i] = sum_rounded(sum[i] + product_rounded(a->significand, b[i].significand, place));
        }
    }
    for (size_t i = 0; i < width; i++) sums[i] = sum[i], fit[i] = below[i] >= 0;
}

/* A run of rows of the first matrix, or of columns of the second. */
struct runs {
    const char *at;
    npy_intp step;      /* along the run */
    npy_intp next;      /* to the next run */
    struct part *parts; /* unpacked: one after the other for rows, side by side for columns */
    int32_t largest[ROWS];
};

/* Adds the products of one row's run with `width` columns' runs to the sums at `out`. */
static inline __attribute__((always_inline)) void row_by_columns(
    const struct runs *rows, npy_intp row, const struct runs *columns, size_t width, char *out, npy_intp step_out, npy_intp n) {
    int64_t sums[WIDTH];
    int32_t units[WIDTH];
    bool fit[WIDTH];
    for (size_t i = 0; i < width; i++) {
        f32_t sum = LOAD(f32, out + (npy_intp)i * step_out);
        units[i] = run_unit(sum, rows->largest[row], columns->largest[i]);
        sums[i] = units[i] ? to_fixed(sum, units[i]) : 0;
    }
    add_run(sums, fit, width, units, rows->parts + row * RUN, columns->parts, n);
    for (size_t i = 0; i < width; i++, out += step_out) {
        if (UNLIKELY(!units[i] || !fit[i])) {
            STORE(f32, out, f32_dot(LOAD(f32, out), rows->at + row * rows->next, rows->step,
                                    columns->at + (npy_intp)i * columns->next, columns->step, n));
        } else {
            STORE(f32, out, from_fixed(sums[i], units[i]));
        }
    }
}

static void multiply_runs(struct runs *rows, npy_intp m, struct runs *columns, npy_intp p, char *out, npy_intp out_m,
                          npy_intp out_p, npy_intp n) {
    for (npy_intp row = 0; row < m; row++)
        rows->largest[row] = unpack_run(rows->parts + row * RUN, 1, rows->at + row * rows->next, rows->step, n);
    while (p > 0) {
        size_t width = p >= WIDTH ? WIDTH : 1;
        for (size_t i = 0; i < width; i++)
            columns->largest[i] =
                unpack_run(columns->parts + i, width, columns->at + (npy_intp)i * columns->next, columns->step, n);
        for (npy_intp row = 0; row < m; row++) {
            if (width == WIDTH) row_by_columns(rows, row, columns, WIDTH, out + row * out_m, out_p, n);
            else row_by_columns(rows, row, columns, 1, out + row * out_m, out_p, n);
        }
        p -= (npy_intp)width;
        columns->at += (npy_intp)width * columns->next;
        out += (npy_intp)width * out_p;
    }
}

struct matrices {
    const char *a, *b;
    char *out;
    npy_intp a_m, a_n, b_n, b_p, out_m, out_p, m, n, p;
};

static void f32_multiply(const struct matrices *x) {
    struct part rows_parts[ROWS * RUN], columns_parts[WIDTH * RUN];
    for (npy_intp i = 0; i < x->m; i++)
        for (npy_intp j = 0; j < x->p; j++) STORE(f32, x->out + i * x->out_m + j * x->out_p, 0);
    for (npy_intp k = 0; k < x->n; k += RUN) {
        npy_intp run = x->n - k < RUN ? x->n - k : RUN;
        for (npy_intp i = 0; i < x->m; i += ROWS) {
            npy_intp some = x->m - i < ROWS ? x->m - i : ROWS;
            struct runs rows = {x->a + i * x->a_m + k * x->a_n, x->a_n, x->a_m, rows_parts, {0}};
            struct runs columns = {x->b + k * x->b_n, x->b_n, x->b_p, columns_parts, {0}};
            multiply_runs(&rows, some, &columns, x->p, x->out + i * x->out_m, x->out_m, x->out_p, run);
        }
    }
}

/* As NumPy does it, for matrices that are not apart in memory, and for float64. */
#define MULTIPLY_IN_PLACE(f)                                                              \
    static void f##_multiply_in_place(const struct matrices *x) {                         \
        for (npy_intp i = 0; i < x->m; i++) {                                             \
            for (npy_intp j = 0; j < x->p; j++) {                                         \
                char *out = x->out + i * x->out_m + j * x->out_p;                         \
                const char *a = x->a + i * x->a_m, *b = x->b + j * x->b_p;                \
                STORE(f, out, 0);                                                         \
                for (npy_intp k = 0; k < x->n; k++, a += x->a_n, b += x->b_n)             \
                    STORE(f, out, f##_add(LOAD(f, out), f##_mul(LOAD(f, a), LOAD(f, b)))); \
            }                                                                             \
        }                                                                                 \
    }

MULTIPLY_IN_PLACE(f32)
MULTIPLY_IN_PLACE(f64)

static inline void extend(npy_intp count, npy_intp step, npy_intp *first, npy_intp *last) {
    npy_intp distance = (count - 1) * step;
    if (distance < 0) *first += distance;
    else *last += distance;
}

/* Whether the bytes between lowest and highest element of the one matrix are apart from those of the other. */
static bool apart(const char *a, npy_intp m_a, npy_intp step_m_a, npy_intp n_a, npy_intp step_n_a, const char *b,
                  npy_intp m_b, npy_intp step_m_b, npy_intp n_b, npy_intp step_n_b, npy_intp size) {
    npy_intp first_a = (npy_intp)a, last_a = first_a + size - 1, first_b = (npy_intp)b, last_b = first_b + size - 1;
    extend(m_a, step_m_a, &first_a, &last_a);
    extend(n_a, step_n_a, &first_a, &last_a);
    extend(m_b, step_m_b, &first_b, &last_b);
    extend(n_b, step_n_b, &first_b, &last_b);
    return (uintptr_t)last_a < (uintptr_t)first_b || (uintptr_t)last_b < (uintptr_t)first_a;
}

static inline bool out_apart(const struct matrices *x, npy_intp size) {
    return apart(x->out, x->m, x->out_m, x->p, x->out_p, x->a, x->m, x->a_m, x->n, x->a_n, size) &&
           apart(x->out, x->m, x->out_m, x->p, x->out_p, x->b, x->n, x->b_n, x->p, x->b_p, size);
}

#define MATMUL(name, f, multiply)                                                                       \
    LOOP(name) {                                                                                        \
        npy_intp outer = dimensions[0], s0 = steps[0], s1 = steps[1], s2 = steps[2];                    \
        for (; outer > 0; outer--, args[0] += s0, args[1] += s1, args[2] += s2) {                       \
            const struct matrices x = {args[0],  args[1],  args[2],  steps[3],      steps[4],      steps[5],     \
                                       steps[6], steps[7], steps[8], dimensions[1], dimensions[2], dimensions[3]}; \
            multiply(&x);                                                                               \
        }                                                                                               \
    }

static inline void f32_multiply_any(const struct matrices *x) {
    if (out_apart(x, sizeof(f32_t))) f32_multiply(x);
    else f32_multiply_in_place(x);
}

MATMUL(FLOAT_matmul, f32, f32_multiply_any)
MATMUL(DOUBLE_matmul, f64, f64_multiply_in_place)

/* The sum of products in order, in runs. */
static f32_t f32_dot_in_runs(const char *a, npy_intp step_a, const char *b, npy_intp step_b, npy_intp n) {
    struct part a_parts[RUN], b_parts[RUN];
    f32_t sum = 0;
    for (; n > 0; n -= RUN, a += RUN * step_a, b += RUN * step_b) {
        npy_intp run = n < RUN ? n : RUN;
        int32_t largest_a = unpack_run(a_parts, 1, a, step_a, run), largest_b = unpack_run(b_parts, 1, b, step_b, run);
        int32_t unit = run_unit(sum, largest_a, largest_b);
        int64_t fixed = unit ? to_fixed(sum, unit) : 0;
        bool fit;
        add_run(&fixed, &fit, 1, &unit, a_parts, b_parts, run);
        sum = unit && fit ? from_fixed(fixed, unit) : f32_dot(sum, a, step_a, b, step_b, run);
    }
    return sum;
}

static f64_t f64_dot_in_runs(const char *a, npy_intp step_a, const char *b, npy_intp step_b, npy_intp n) {
    return f64_dot(0, a, step_a, b, step_b, n);
}

#define DOT_OF(name, f)                                                                                    \
    KERNEL void name##__soft(                                                                              \
        char *a, npy_intp step_a, char *b, npy_intp step_b, char *result, npy_intp n, void *ignored UNUSED) { \
        STORE(f, result, f##_dot_in_runs(a, step_a, b, step_b, n));                                        \
    }

DOT_OF(FLOAT_dot, f32)
DOT_OF(DOUBLE_dot, f64)

/* ---- einsum of two operands; NumPy unrolls none of these loops, since it is built without optimisations of its own ---- */

#define EINSUM(name) \
    KERNEL void name##__soft(int nop UNUSED, char **data, npy_intp const *steps UNUSED, npy_intp count)

#define EINSUM_OF(type, f)                                                                                        \
    static inline void f##_add_products(char *a, npy_intp step_a, char *b, npy_intp step_b, char *out, npy_intp step, \
                                        npy_intp n) {                                                             \
        for (; n > 0; n--, a += step_a, b += step_b, out += step)                                                 \
            STORE(f, out, f##_add(f##_mul(LOAD(f, a), LOAD(f, b)), LOAD(f, out)));                                \
    }                                                                                                             \
    static inline void f##_add_multiple(f##_t factor, char *a, char *out, npy_intp n) {                           \
        for (; n > 0; n--, a += sizeof factor, out += sizeof factor)                                              \
            STORE(f, out, f##_add(f##_mul(factor, LOAD(f, a)), LOAD(f, out)));                                    \
    }                                                                                                             \
    static inline void f##_add_dot(char *a, npy_intp step_a, char *b, npy_intp step_b, char *out, npy_intp n) {   \
        f##_t sum = f##_dot_in_runs(a, step_a, b, step_b, n);                                                     \
        STORE(f, out, f##_add(LOAD(f, out), sum));                                                                \
    }                                                                                                             \
    EINSUM(type##_sum_of_products_two) {                                                                          \
        f##_add_products(data[0], steps[0], data[1], steps[1], data[2], steps[2], count);                         \
    }                                                                                                             \
    EINSUM(type##_sum_of_products_contig_two) {                                                                   \
        npy_intp size = sizeof(f##_t);                                                                            \
        f##_add_products(data[0], size, data[1], size, data[2], size, count);                                     \
    }                                                                                                             \
    EINSUM(type##_sum_of_products_stride0_contig_outcontig_two) {                                                 \
        f##_add_multiple(LOAD(f, data[0]), data[1], data[2], count);                                              \
    }                                                                                                             \
    EINSUM(type##_sum_of_products_contig_stride0_outcontig_two) {                                                 \
        f##_add_multiple(LOAD(f, data[1]), data[0], data[2], count);                                              \
    }                                                                                                             \
    EINSUM(type##_sum_of_products_outstride0_two) {                                                               \
        f##_add_dot(data[0], steps[0], data[1], steps[1], data[2], count);                                        \
    }                                                                                                             \
    EINSUM(type##_sum_of_products_contig_contig_outstride0_two) {                                                 \
        npy_intp size = sizeof(f##_t);                                                                            \
        f##_add_dot(data[0], size, data[1], size, data[2], count);                                                \
    }

EINSUM_OF(float, f32)
EINSUM_OF(double, f64)
