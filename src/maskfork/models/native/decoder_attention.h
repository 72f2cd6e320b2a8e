// Attention of one head of one token over the keys and values of its text, as they are stored: in float32, or in bfloat16.
//
// Legend: D size of a head, a multiple of 16.
#pragma once
#include "rows.h"

static inline V read(const float* p) { return load<V>(p); }
static inline V read(const uint16_t* p) { return wide(p); }

// rotary, one head: `turned` of its numbers in pairs, which stand side by side or half of them apart
static inline void turn(float* x, const float* cosines, const float* sines, int64_t turned, bool paired) {
  int64_t half = turned / 2; float* y = x + half;
  if (paired) for (int64_t i = 0; i < turned; i += 2) {
    float u = x[i], v = x[i + 1], c = cosines[i / 2], s = sines[i / 2];
    x[i] = u * c - v * s; x[i + 1] = v * c + u * s;
  }
  else for (int64_t i = 0; i < half; i++) {
    float u = x[i], v = y[i];
    x[i] = u * cosines[i] - v * sines[i]; y[i] = v * cosines[i] + u * sines[i];
  }
}

// y [16 * N] = sum of `n` rows v of D numbers by their weights
template <int N, class T> static inline void mixed(const float* weights, const T* v, int64_t n, int64_t d, float by, float* y) {
  V a[N] = {};
  for (int64_t j = 0; j < n; j++) for (int c = 0; c < N; c++) a[c] += weights[j] * read(v + j * d + 16 * c);
  for (int c = 0; c < N; c++) store(y + 16 * c, a[c] * by);
}

// y [D] from one query over `n` keys and values [n, D]; `logits` has room for all of them and 16 more
template <class T> static void attend(const float* q, const T* k, const T* v, int64_t n, int64_t d, float scale, float* logits, float* y) {
  float top = -1e30f; V total{};
  for (int64_t j = 0; j < n; j++) {
    V a{}; for (int64_t i = 0; i < d; i += 16) a += load<V>(q + i) * read(k + j * d + i);
    logits[j] = sum(a) * scale; top = logits[j] > top ? logits[j] : top;
  }
  for (int64_t j = n; j < padded(n, 16); j++) logits[j] = -1e30f;
  for (int64_t j = 0; j < n; j += 16) { V e = exp16(load<V>(logits + j) - top); store(logits + j, e); total += e; }
  // what is beyond the text weighs e^-87 and counts for nothing
  float by = 1.f / sum(total); int64_t i = 0;
  for (; i + 64 <= d; i += 64) mixed<4>(logits, v + i, n, d, by, y + i);
  for (; i < d; i += 16) mixed<1>(logits, v + i, n, d, by, y + i);
}
