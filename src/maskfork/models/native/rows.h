// What is done with a row between two multiplications: its norm, its activation, and its numbers in the type that is multiplied.
#pragma once
#include "tiles.h"

struct Norm { const float *w, *b; };  // no norm where w is null; no bias where b is
struct Levels { float step, low; };   // a row in bytes: number = step * byte + low

// y = norm(x) over the first `wide` of `n` numbers; the rest of x, w and b is zero
static inline void normed(const Norm& norm, const float* x, float* y, int64_t n, int64_t wide, float eps, bool rms) {
  V total{}, square{};
  if (!rms) for (int64_t i = 0; i < n; i += 16) total += load<V>(x + i);
  float mean = sum(total) / wide;
  for (int64_t i = 0; i < n; i += 16) { V d = load<V>(x + i) - mean; square += d * d; }
  float by = 1.f / sqrtf((sum(square) - (n - wide) * mean * mean) / wide + eps);
  for (int64_t i = 0; i < n; i += 16) {
    V v = (load<V>(x + i) - mean) * by * load<V>(norm.w + i);
    store(y + i, norm.b ? v + load<V>(norm.b + i) : v);
  }
}

// x * Phi(x) with the error function to 1e-7 (Abramowitz and Stegun, 7.1.26)
static inline V gelu(V x) {
  V t = 1.f / (1.f + .23164189f * most(x, -x));
  V p = splat(1.061405429f); p = p * t - 1.453152027f; p = p * t + 1.421413741f; p = p * t - .284496736f; p = p * t + .254829592f;
  V tail = .5f * p * t * exp16(-.5f * x * x);  // Phi(-|x|)
  return x * (x > 0.f ? 1.f - tail : tail);
}
// The same to 2e-4, a hundredth of a byte's level: Phi as 1/2 + x P(x^2), fitted so that the worst error is least and Phi(3.9) = 1
static inline V quick_gelu(V x) {
  V t = least(most(x, splat(-3.9f)), splat(3.9f)), u = t * t, p = splat(2.2794730e-8f) * u - 1.5968604e-6f;
  p = p * u + 4.7880746e-5f; p = p * u - 8.1297579e-4f; p = p * u + 8.7661653e-3f; p = p * u - 6.4557551e-2f; p = p * u + .39787130f;
  return x * (t * p + .5f);
}
template <class Op> static inline V gelu_of(V x) { return quick_gelu(x); }
template <> inline V gelu_of<Floats>(V x) { return gelu(x); }
template <class Op> static inline V activated(int64_t act, V v) {
  if (act == 0) return v / (1.f + exp16(-1.5957691216f * (v + 0.044715f * v * v * v)));  // gelu by tanh
  if (act == 1) return v / (1.f + exp16(-v));                                            // silu
  if (act == 2) return most(v, V{});                                                     // relu
  return gelu_of<Op>(v);
}
static inline V told(int64_t act, V v) {  // a head's activation: one more, tanh
  return act == 4 ? 1.f - 2.f / (1.f + exp16(2.f * v)) : activated<Floats>(act, v);
}

// A row in the type that it is multiplied in
static inline Levels put(const float* x, float* y, int64_t n) { if (x != y) memcpy(y, x, n * 4); return {}; }
static inline Levels put(const float* x, uint16_t* y, int64_t n) { for (int64_t i = 0; i < n; i += 16) store(y + i, narrow(load<V>(x + i))); return {}; }
static inline Levels put(const float* x, uint8_t* y, int64_t n) {  // 255 levels from the least to the most, moved up so that zero is one of them
  V low{}, high{};
  for (int64_t i = 0; i < n; i += 16) { V v = load<V>(x + i); low = least(low, v); high = most(high, v); }
  float down = -most(-low), step = (most(high) - down) / 254.f, by = step > 0.f ? 1.f / step : 0.f, zero = ceilf(-down * by);
  for (int64_t i = 0; i < n; i += 16) {
    V v = load<V>(x + i) * by + zero;
#ifdef __AVX512F__
    store(y + i, _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32((__m512)v)));
#else
    store(y + i, __builtin_convertvector(__builtin_convertvector(least(v + .5f, splat(255.f)), I), U8));
#endif
  }
  return {step, -zero * step};
}
static inline void held(float* y, V v) { store(y, v); }
static inline void held(uint16_t* y, V v) { store(y, narrow(v)); }
