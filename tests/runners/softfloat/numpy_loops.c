/* NumPy's inner loops as they are in its source (2.5.5, without SIMD, optimisations and BLAS), for comparison with runners/numeric/kernels.
 *
 * Copyright (c) 2005-2026, NumPy Developers. BSD-3-Clause, see the licence of NumPy.
 */
#include <stdint.h>

typedef intptr_t npy_intp;
#define EXPORT(name) __attribute__((export_name(#name), noinline))
#define LOOP(name) EXPORT(name) void name(char **args, npy_intp const *dimensions, npy_intp const *steps, void *data)

#define PAIRWISE_SUM(TYPE, type)                                                                   \
    static type TYPE##_pairwise_sum(char *a, npy_intp n, npy_intp stride) {                        \
        if (n < 8) {                                                                               \
            type res = -0.0;                                                                       \
            for (npy_intp i = 0; i < n; i++) res += *((type *)(a + i * stride));                   \
            return res;                                                                            \
        } else if (n <= 128) {                                                                     \
            npy_intp i;                                                                            \
            type r[8], res;                                                                        \
            for (int j = 0; j < 8; j++) r[j] = *((type *)(a + j * stride));                        \
            for (i = 8; i < n - (n % 8); i += 8)                                                   \
                for (int j = 0; j < 8; j++) r[j] += *((type *)(a + (i + j) * stride));             \
            res = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));               \
            for (; i < n; i++) res += *((type *)(a + i * stride));                                 \
            return res;                                                                            \
        } else {                                                                                   \
            npy_intp n2 = n / 2;                                                                   \
            n2 -= n2 % 8;                                                                          \
            return TYPE##_pairwise_sum(a, n2, stride) + TYPE##_pairwise_sum(a + n2 * stride, n - n2, stride); \
        }                                                                                          \
    }

#define BINARY(TYPE, type, kind, OP, PW)                                                           \
    LOOP(TYPE##_##kind) {                                                                          \
        npy_intp len = dimensions[0];                                                              \
        char *src0 = args[0], *src1 = args[1], *dst = args[2];                                     \
        npy_intp ssrc0 = steps[0], ssrc1 = steps[1], sdst = steps[2];                              \
        if (ssrc0 == 0 && ssrc0 == sdst && src0 == dst) {                                          \
            if (PW) {                                                                              \
                *((type *)src0) = *((type *)src0) OP TYPE##_pairwise_sum(src1, len, ssrc1);        \
            } else {                                                                               \
                type acc = *((type *)src0);                                                        \
                for (; len > 0; --len, src1 += ssrc1) acc = acc OP *(type *)src1;                  \
                *((type *)src0) = acc;                                                             \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        for (; len > 0; --len, src0 += ssrc0, src1 += ssrc1, dst += sdst) {                        \
            const type a = *((type *)src0);                                                        \
            const type b = *((type *)src1);                                                        \
            *((type *)dst) = a OP b;                                                               \
        }                                                                                          \
    }

#define UNARY(TYPE, type, kind, expression)                                                        \
    LOOP(TYPE##_##kind) {                                                                          \
        const char *src = args[0];                                                                 \
        char *dst = args[1];                                                                       \
        for (npy_intp len = dimensions[0]; len > 0; --len, src += steps[0], dst += steps[1]) {     \
            const type a = *(type *)src;                                                           \
            *(type *)dst = expression;                                                             \
        }                                                                                          \
    }

#define PRODUCTS(TYPE, type)                                                                       \
    EXPORT(TYPE##_dot)                                                                             \
    void TYPE##_dot(char *ip1, npy_intp is1, char *ip2, npy_intp is2, char *op, npy_intp n, void *ignore) { \
        type sum = (type)0;                                                                        \
        for (npy_intp i = 0; i < n; i++, ip1 += is1, ip2 += is2) {                                 \
            const type ip1r = *((type *)ip1);                                                      \
            const type ip2r = *((type *)ip2);                                                      \
            sum += ip1r * ip2r;                                                                    \
        }                                                                                          \
        *((type *)op) = sum;                                                                       \
    }                                                                                              \
    static void TYPE##_matmul_inner_noblas(                                                        \
        void *_ip1, npy_intp is1_m, npy_intp is1_n, void *_ip2, npy_intp is2_n, npy_intp is2_p,    \
        void *_op, npy_intp os_m, npy_intp os_p, npy_intp dm, npy_intp dn, npy_intp dp) {          \
        npy_intp m, n, p;                                                                          \
        npy_intp ib1_n, ib2_n, ib2_p, ob_p;                                                        \
        char *ip1 = (char *)_ip1, *ip2 = (char *)_ip2, *op = (char *)_op;                          \
        ib1_n = is1_n * dn;                                                                        \
        ib2_n = is2_n * dn;                                                                        \
        ib2_p = is2_p * dp;                                                                        \
        ob_p = os_p * dp;                                                                          \
        for (m = 0; m < dm; m++) {                                                                 \
            for (p = 0; p < dp; p++) {                                                             \
                *(type *)op = 0;                                                                   \
                for (n = 0; n < dn; n++) {                                                         \
                    type val1 = (*(type *)ip1);                                                    \
                    type val2 = (*(type *)ip2);                                                    \
                    *(type *)op += val1 * val2;                                                    \
                    ip2 += is2_n;                                                                  \
                    ip1 += is1_n;                                                                  \
                }                                                                                  \
                ip1 -= ib1_n;                                                                      \
                ip2 -= ib2_n;                                                                      \
                op += os_p;                                                                        \
                ip2 += is2_p;                                                                      \
            }                                                                                      \
            op -= ob_p;                                                                            \
            ip2 -= ib2_p;                                                                          \
            ip1 += is1_m;                                                                          \
            op += os_m;                                                                            \
        }                                                                                          \
    }                                                                                              \
    LOOP(TYPE##_matmul) {                                                                          \
        npy_intp dOuter = *dimensions++;                                                           \
        npy_intp s0 = *steps++;                                                                    \
        npy_intp s1 = *steps++;                                                                    \
        npy_intp s2 = *steps++;                                                                    \
        for (npy_intp iOuter = 0; iOuter < dOuter; iOuter++, args[0] += s0, args[1] += s1, args[2] += s2) \
            TYPE##_matmul_inner_noblas(args[0], steps[0], steps[1], args[1], steps[2], steps[3],   \
                                       args[2], steps[4], steps[5], dimensions[0], dimensions[1], dimensions[2]); \
    }

#define ALL(TYPE, type)                \
    PAIRWISE_SUM(TYPE, type)           \
    BINARY(TYPE, type, add, +, 1)      \
    BINARY(TYPE, type, subtract, -, 0) \
    BINARY(TYPE, type, multiply, *, 0) \
    BINARY(TYPE, type, divide, /, 0)   \
    UNARY(TYPE, type, square, a * a)   \
    UNARY(TYPE, type, reciprocal, 1 / a) \
    UNARY(TYPE, type, sqrt, _Generic(a, float: __builtin_sqrtf, double: __builtin_sqrt)(a)) \
    PRODUCTS(TYPE, type)

ALL(FLOAT, float)
ALL(DOUBLE, double)

/* The same under names that no kernel has, for the instructions in them. */
ALL(OTHER_FLOAT, float)
ALL(OTHER_DOUBLE, double)

#define EINSUM(name) \
    EXPORT(name) void name(int nop, char **dataptr, npy_intp const *strides, npy_intp count)

#define EINSUM_OF(type)                                                                                   \
    EINSUM(type##_sum_of_products_two) {                                                                  \
        char *data0 = dataptr[0], *data1 = dataptr[1], *data_out = dataptr[2];                            \
        while (count--) {                                                                                 \
            *(type *)data_out = *(type *)data0 * *(type *)data1 + *(type *)data_out;                      \
            data0 += strides[0];                                                                          \
            data1 += strides[1];                                                                          \
            data_out += strides[2];                                                                       \
        }                                                                                                 \
    }                                                                                                     \
    EINSUM(type##_sum_of_products_contig_two) {                                                           \
        type *data0 = (type *)dataptr[0], *data1 = (type *)dataptr[1], *data_out = (type *)dataptr[2];    \
        for (; count > 0; --count, ++data0, ++data1, ++data_out) *data_out = *data0 * *data1 + *data_out; \
    }                                                                                                     \
    static void type##_sum_of_products_muladd(type *data, type *data_out, type scalar, npy_intp count) {  \
        for (; count > 0; --count, ++data, ++data_out) *data_out = scalar * *data + *data_out;            \
    }                                                                                                     \
    EINSUM(type##_sum_of_products_stride0_contig_outcontig_two) {                                         \
        type##_sum_of_products_muladd((type *)dataptr[1], (type *)dataptr[2], *(type *)dataptr[0], count); \
    }                                                                                                     \
    EINSUM(type##_sum_of_products_contig_stride0_outcontig_two) {                                         \
        type##_sum_of_products_muladd((type *)dataptr[0], (type *)dataptr[2], *(type *)dataptr[1], count); \
    }                                                                                                     \
    EINSUM(type##_sum_of_products_outstride0_two) {                                                       \
        char *data0 = dataptr[0], *data1 = dataptr[1];                                                    \
        type accum = 0;                                                                                   \
        while (count--) {                                                                                 \
            accum += *(type *)data0 * *(type *)data1;                                                     \
            data0 += strides[0];                                                                          \
            data1 += strides[1];                                                                          \
        }                                                                                                 \
        *(type *)dataptr[2] = accum + *(type *)dataptr[2];                                                \
    }                                                                                                     \
    EINSUM(type##_sum_of_products_contig_contig_outstride0_two) {                                         \
        type *data0 = (type *)dataptr[0], *data1 = (type *)dataptr[1], accum = 0;                         \
        for (; count > 0; --count, ++data0, ++data1) accum += *data0 * *data1;                            \
        *(type *)dataptr[2] = *(type *)dataptr[2] + accum;                                                \
    }

EINSUM_OF(float)
EINSUM_OF(double)
