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

// The pages of a text, `size` tokens of D numbers in each; the same head's numbers of two neighbours are `gap` apart
struct Pages { const int64_t* number; int64_t size, gap, d; };

// with(j, row) for the first `n` tokens' rows of D numbers, in order
template <class T, class With> static inline void each(const Pages& pages, const T* first, int64_t n, With with) {
  for (int64_t i = 0, j = 0; j < n; i++) {
    const T* row = first + pages.number[i] * pages.gap;
    for (int64_t end = n - j < pages.size ? n : j + pages.size; j < end; j++, row += pages.d) with(j, row);
  }
}

// y [16 * N] = sum of `n` rows v of D numbers by their weights
template <int N, class T> static inline void mixed(const float* weights, const T* v, const Pages& pages, int64_t n, float by, float* y) {
  V a[N] = {};
  each(pages, v, n, [&](int64_t j, const T* row) { for (int c = 0; c < N; c++) a[c] += weights[j] * read(row + 16 * c); });
  for (int c = 0; c < N; c++) store(y + 16 * c, a[c] * by);
}

// y [D] from one query over the first `n` keys and values of its text; `logits` has room for all of them and 16 more
template <class T> static void attend(const float* q, const T* k, const T* v, const Pages& pages, int64_t n, float scale, float* logits, float* y) {
  float top = -1e30f; V total{}; int64_t d = pages.d;
  each(pages, k, n, [&](int64_t j, const T* row) {
    V a{}; for (int64_t i = 0; i < d; i += 16) a += load<V>(q + i) * read(row + i);
    logits[j] = sum(a) * scale; top = logits[j] > top ? logits[j] : top;
  });
  for (int64_t j = n; j < padded(n, 16); j++) logits[j] = -1e30f;
  for (int64_t j = 0; j < n; j += 16) { V e = exp16(load<V>(logits + j) - top); store(logits + j, e); total += e; }
  // what is beyond the text weighs e^-87 and counts for nothing
  float by = 1.f / sum(total); int64_t i = 0;
  for (; i + 64 <= d; i += 64) mixed<4>(logits, v + i, pages, n, by, y + i);
  for (; i < d; i += 16) mixed<1>(logits, v + i, pages, n, by, y + i);
}
