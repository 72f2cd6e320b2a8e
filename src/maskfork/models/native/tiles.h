// The kernel of all multiplications of an encoder: at most 14 rows by 32 columns, sums in registers.
//
// A panel is 32 columns of a matrix. Step by step along K it holds, for each column, the 4 bytes (or 2 bfloat16, or 1 float) that
// the same 4 bytes of a row are multiplied with: one row's 4 bytes go to all columns at once.
#pragma once
#include "vectors.h"

enum Panel { HERE, FAR, MEMORY };  // in the nearest caches; in a farther one, and kept near for the next rows; in memory, and read once
static const int64_t AHEAD[] = {0, 8192, 4096};  // bytes: how far before it is read a panel is asked for
static const int64_t TALL = 14, BROAD = 32;  // 14 x 2 sums, 2 of the panel, 1 of the row: 31 of AVX-512's 32 registers

struct Bytes {  // unsigned rows, signed columns
  typedef uint8_t In; typedef I Sum; static const int64_t per = 4;
  static inline Sum step(Sum s, int32_t x, I w) {
#if defined(__AVX512VNNI__)
    return (Sum)_mm512_dpbusd_epi32((__m512i)s, _mm512_set1_epi32(x), (__m512i)w);
#elif defined(__AVX512BW__)  // byte pairs as 16-bit numbers: VNNI's older way, exact too
    const __m512i u = _mm512_set1_epi32(x), v = (__m512i)w, low = _mm512_set1_epi16(255);
    __m512i even = _mm512_madd_epi16(_mm512_and_si512(u, low), _mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8));
    __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(u, 8), _mm512_srai_epi16(v, 8));
    return s + (I)_mm512_add_epi32(even, odd);
#else
    for (int at = 24; at >= 0; at -= 8) s += ((w << at) >> 24) * ((x >> (24 - at)) & 255);
    return s;
#endif
  }
};
struct Halves {  // bfloat16
  typedef uint16_t In; typedef V Sum; static const int64_t per = 2;
  static inline Sum step(Sum s, int32_t x, I w) {
#ifdef __AVX512BF16__
    return (Sum)_mm512_dpbf16_ps((__m512)s, (__m512bh)_mm512_set1_epi32(x), (__m512bh)w);
#else
    U u = as<U>(w); uint32_t y = (uint32_t)x;
    return s + as<V>(u << 16) * as<float>(y << 16) + as<V>(u & 0xffff0000u) * as<float>(y & 0xffff0000u);
#endif
  }
};
struct Floats {
  typedef float In; typedef V Sum; static const int64_t per = 1;
  static inline Sum step(Sum s, int32_t x, I w) { return s + as<V>(w) * as<float>(x); }
};

// sums [R, 32], `gap` bytes from row to row, of rows a [R, K], `across` bytes from row to row, with one panel of `steps`. Every loop over rows is unrolled
// by name: left to itself GCC keeps the sums in memory. One pointer serves three rows, else there are more of them than registers.
template <class Op, int R, Panel From> static __attribute__((noinline)) void tile(const char* a, int64_t across, const char* w, int64_t steps, void* sums, int64_t gap) {
  const int KEPT = From == FAR ? 3 : 0; typename Op::Sum s[R][2]; const char* p[(R + 2) / 3];
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) s[r][0] = s[r][1] = typename Op::Sum{};
#pragma GCC unroll 16
  for (int g = 0; g < (R + 2) / 3; g++) { p[g] = a + 3 * g * across; asm("" : "+r"(p[g])); }
  for (const char* end = w + steps * 128; w != end; w += 128) {
    if (From != HERE) { __builtin_prefetch(w + AHEAD[From], 0, KEPT); __builtin_prefetch(w + AHEAD[From] + 64, 0, KEPT); }
    I first = load<I>(w), second = load<I>(w + 64);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      int32_t x = load<int32_t>(p[r / 3] + r % 3 * across);
      s[r][0] = Op::step(s[r][0], x, first); s[r][1] = Op::step(s[r][1], x, second);
    }
#pragma GCC unroll 16
    for (int g = 0; g < (R + 2) / 3; g++) p[g] += 4;
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) { store((char*)sums + r * gap, s[r][0]); store((char*)sums + r * gap + 64, s[r][1]); }
}

template <class Op, Panel From = HERE> static inline void tile(int64_t rows, const char* a, int64_t across, const char* w, int64_t steps, void* sums, int64_t gap) {
#define ROWS(R) case R: return tile<Op, R, From>(a, across, w, steps, sums, gap);
  switch (rows) { ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12) ROWS(13) ROWS(14) }
#undef ROWS
}

// How many rows the next tile takes so that all are about as tall
static inline int64_t height(int64_t rows) { int64_t tiles = (rows + TALL - 1) / TALL; return (rows + tiles - 1) / tiles; }
