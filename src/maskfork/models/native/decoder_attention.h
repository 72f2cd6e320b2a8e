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

// with(j, row) for the tokens' rows of D numbers from the `from`th to the `n`th, in order
template <class T, class With> static inline void each(const Pages& pages, const T* first, int64_t from, int64_t n, With with) {
  for (int64_t i = from / pages.size, j = from; j < n; i++) {
    const T* row = first + pages.number[i] * pages.gap + (j - i * pages.size) * pages.d;
    for (int64_t end = (i + 1) * pages.size < n ? (i + 1) * pages.size : n; j < end; j++, row += pages.d) with(j, row);
  }
}

// A query, the first `n` keys and values of whose text it reads; `logits` has room for all of them and 16 more
struct Query { const float* q; Pages pages; int64_t n; float *logits, *y; };

// y [16 * N] = sum of the rows v by their weights
template <int R, int N, class T> static inline void mixed(const Query* a, const T* v, int64_t common, const float* by, int64_t at) {
  V sums[R][N] = {};
  each(a->pages, v + at, 0, common, [&](int64_t j, const T* row) {
    V x[N]; for (int c = 0; c < N; c++) x[c] = read(row + 16 * c);
    for (int r = 0; r < R; r++) for (int c = 0; c < N; c++) sums[r][c] += a[r].logits[j] * x[c];
  });
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
    each(a[r].pages, v + at, common, a[r].n, [&](int64_t j, const T* row) { for (int c = 0; c < N; c++) sums[r][c] += a[r].logits[j] * read(row + 16 * c); });
    for (int c = 0; c < N; c++) store(a[r].y + at + 16 * c, sums[r][c] * by[r]);
  }
}

// R queries, the first `common` keys of which are the same ones and are read once for all
template <int R, class T> static void attend(const Query* a, const T* k, const T* v, int64_t common, float scale) {
  float top[R], by[R]; int64_t d = a->pages.d, i = 0;
  for (int r = 0; r < R; r++) top[r] = -1e30f;
  auto say = [&](int r, int64_t j, V s) { float l = sum(s) * scale; a[r].logits[j] = l; top[r] = l > top[r] ? l : top[r]; };
  each(a->pages, k, 0, common, [&](int64_t j, const T* row) {
    V s[R] = {};
    for (int64_t i = 0; i < d; i += 16) { V x = read(row + i); for (int r = 0; r < R; r++) s[r] += load<V>(a[r].q + i) * x; }
    for (int r = 0; r < R; r++) say(r, j, s[r]);
  });
  for (int r = 0; r < R; r++) {
    each(a[r].pages, k, common, a[r].n, [&](int64_t j, const T* row) {
      V s{}; for (int64_t i = 0; i < d; i += 16) s += load<V>(a[r].q + i) * read(row + i);
      say(r, j, s);
    });
    float* l = a[r].logits; V total{};
    for (int64_t j = a[r].n; j < padded(a[r].n, 16); j++) l[j] = -1e30f;
    for (int64_t j = 0; j < a[r].n; j += 16) { V e = exp16(load<V>(l + j) - top[r]); store(l + j, e); total += e; }
    by[r] = 1.f / sum(total);  // what is beyond the text weighs e^-87 and counts for nothing
  }
  for (; i + 64 <= d; i += 64) mixed<R, 4>(a, v, common, by, i);
  for (; i < d; i += 16) mixed<R, 1>(a, v, common, by, i);
}
