// Rows times a matrix in panels, whatever is done with what comes out.
#pragma once
#include "rows.h"

struct Matrix { const char* w; const float *scale, *sums, *bias; int64_t n, k; };  // `sums` of a column's bytes, times its scale

template <class Op> static inline V number(typename Op::Sum s, V, V, V bias, Levels) { return (V)s + bias; }
template <> inline V number<Bytes>(I s, V scale, V sums, V bias, Levels l) {
  return __builtin_convertvector(s, V) * scale * l.step + (sums * l.low + bias);
}

// end(row, column, 16 numbers, 16 more) for columns [from, to) of `rows` rows times the matrix, plus its bias. `From`: where the
// matrix is.
template <class Op, Panel From = HERE, class End>
static void multiply(const Matrix& a, int64_t from, int64_t to, const typename Op::In* in, const Levels* levels, int64_t rows, End end) {
  alignas(64) typename Op::Sum sums[TALL * 2]; int64_t steps = a.k / Op::per, across = a.k * sizeof(*in);
  for (int64_t n = from; n < to; n += BROAD) {
    V scale[2]{}, total[2]{}, bias[2]{};
    for (int i = 0; i < 2; i++) {
      if (a.scale) { scale[i] = load<V>(a.scale + n + 16 * i); total[i] = load<V>(a.sums + n + 16 * i); }
      if (a.bias) bias[i] = load<V>(a.bias + n + 16 * i);
    }
    for (int64_t m = 0, h; m < rows; m += h) {
      h = height(rows - m);
      const char *x = (const char*)in + m * across, *w = a.w + n / BROAD * steps * 128;
      if (m == 0) tile<Op, From>(h, x, across, w, steps, sums, 128);
      else tile<Op>(h, x, across, w, steps, sums, 128);
      for (int64_t r = 0; r < h; r++) {
        Levels l = levels[m + r];
        end(m + r, n, number<Op>(sums[2 * r], scale[0], total[0], bias[0], l), number<Op>(sums[2 * r + 1], scale[1], total[1], bias[1], l));
      }
    }
  }
}

struct Purse {  // hands out memory by size, or only counts
  char* at; int64_t used;
  template <class T> void take(T*& p, int64_t count) { p = (T*)(at + used); used += padded(count * sizeof(T)) + 64; }
};
