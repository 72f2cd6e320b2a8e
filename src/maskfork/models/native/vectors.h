// Sixteen numbers at a time, and what both passes do with them.
//
// The vectors are GCC's and clang's own, so that this builds for any processor; where the processor multiplies bytes or bfloat16
// itself (AVX-512 VNNI, BF16), it does.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __x86_64__
#include <immintrin.h>
#endif

typedef float V __attribute__((vector_size(64)));
typedef uint32_t U __attribute__((vector_size(64)));
typedef int32_t I __attribute__((vector_size(64)));
typedef uint16_t U16 __attribute__((vector_size(32)));
typedef uint8_t U8 __attribute__((vector_size(16)));

template <class T, class S> static inline T load(const S* p) { T v; memcpy(&v, p, sizeof v); return v; }
template <class T, class S> static inline void store(S* p, T v) { memcpy(p, &v, sizeof v); }
template <class T, class S> static inline T as(S v) { static_assert(sizeof(T) == sizeof(S)); T t; memcpy(&t, &v, sizeof t); return t; }
static inline V splat(float a) { return V{} + a; }
static inline V wide(U16 v) { return as<V>(__builtin_convertvector(v, U) << 16); }
static inline V wide(const uint16_t* p) { return wide(load<U16>(p)); }
static inline uint16_t narrow(float f) { uint32_t u = as<uint32_t>(f); return (u + 0x7fff + ((u >> 16) & 1)) >> 16; }
#ifdef __AVX512F__
static inline float sum(V v) { return _mm512_reduce_add_ps((__m512)v); }
static inline float most(V v) { return _mm512_reduce_max_ps((__m512)v); }
static inline V most(V a, V b) { return (V)_mm512_max_ps((__m512)a, (__m512)b); }
static inline V least(V a, V b) { return (V)_mm512_min_ps((__m512)a, (__m512)b); }
#else
static inline float sum(V v) { float s = 0; for (int i = 0; i < 16; i++) s += v[i]; return s; }
static inline float most(V v) { float s = v[0]; for (int i = 1; i < 16; i++) s = v[i] > s ? v[i] : s; return s; }
static inline V most(V a, V b) { return a > b ? a : b; }
static inline V least(V a, V b) { return a < b ? a : b; }
#endif
#ifdef __AVX512BF16__
static inline U16 narrow(V v) { return (U16)_mm512_cvtneps_pbh((__m512)v); }
#else
static inline U16 narrow(V v) { U u = as<U>(v); return __builtin_convertvector((u + 0x7fff + ((u >> 16) & 1)) >> 16, U16); }
#endif

static inline V exp16(V x) {  // Cephes' polynomial, about 1e-7
  x = least(most(x, splat(-87.f)), splat(88.f));
#ifdef __AVX512F__
  V f = (V)_mm512_roundscale_ps((__m512)(x * 1.44269504f), 8);
#else
  V y = x * 1.44269504f; I n = __builtin_convertvector(y + (y < 0.f ? splat(-.5f) : splat(.5f)), I);
  V f = __builtin_convertvector(n, V);
#endif
  x = x - f * 0.693359375f + f * 2.12194440e-4f;
  V p = splat(1.9875691500e-4f); p = p * x + 1.3981999507e-3f; p = p * x + 8.3334519073e-3f; p = p * x + 4.1665795894e-2f;
  p = p * x + 1.6666665459e-1f; p = p * x + 5.0000001201e-1f; p = p * x * x + x + 1.f;
#ifdef __AVX512F__
  return (V)_mm512_scalef_ps((__m512)p, (__m512)f);
#else
  return p * as<V>((n + 127) << 23);
#endif
}

static inline int64_t padded(int64_t n, int64_t to = 64) { return (n + to - 1) / to * to; }
