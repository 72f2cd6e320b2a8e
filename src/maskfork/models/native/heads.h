// Attention of one text: some of its tokens ask, all of them are read. Keys and values are laid out as panels of `tiles.h`.
//
// Legend: T tokens of the text, D size of a head (a multiple of 32), W numbers from one row to the next.
#pragma once
#include "rows.h"

template <class Op> struct Kept { typedef Halves As; };  // what queries, keys and values are kept as
template <> struct Kept<Floats> { typedef Floats As; };

struct Heads { char *keys, *values, *scores, *shares; };  // room for one head's panels, and for 14 rows of logits and of weights

struct Asked {  // `count` queries from place `first` on; the keys and values of the text's T tokens
  const void *q, *k, *v; int64_t q_across, across, first, count, tokens; float* out; int64_t out_across;
};

// keys k [T, D] -> panels of 32 tokens, [D / per] steps each; what is beyond the text is zero
template <class Op> static void key_panels(const typename Op::In* k, int64_t across, int64_t tokens, int64_t d, char* to) {
  int64_t steps = d / Op::per;
  for (int64_t t = 0; t < padded(tokens, BROAD); t++) {
    int32_t* at = (int32_t*)to + t / BROAD * BROAD * steps + t % BROAD;
    const int32_t* from = (const int32_t*)(k + t * across);
    if (t < tokens) for (int64_t i = 0; i < steps; i++) at[i * BROAD] = from[i];
    else for (int64_t i = 0; i < steps; i++) at[i * BROAD] = 0;
  }
}
// values v [T, D] -> panels of 32 numbers of the head, a step for `per` tokens each
static inline I pair(const uint16_t* a, const uint16_t* b) {
  return __builtin_convertvector(load<U16>(a), I) | (b ? __builtin_convertvector(load<U16>(b), I) << 16 : I{});
}
static inline I pair(const float* a, const float*) { return load<I>(a); }
template <class Op> static void value_panels(const typename Op::In* v, int64_t across, int64_t tokens, int64_t d, char* to) {
  for (int64_t n = 0; n < d; n += BROAD) for (int64_t t = 0; t < padded(tokens, BROAD); t += Op::per) for (int64_t i = 0; i < BROAD; i += 16) {
    const typename Op::In* a = v + t * across + n + i;
    store(to, t < tokens ? pair(a, t + 1 < tokens ? a + across : nullptr) : I{}); to += 64;
  }
}

static inline V power(V x) {  // 2^x to 4e-6
  V n = (V)_mm512_roundscale_ps((__m512)x, 8), f = x - n;
  V p = splat(9.618129e-3f) * f + 5.5504109e-2f; p = p * f + .24022651f; p = p * f + .69314718f; p = p * f + 1.f;
  return (V)_mm512_scalef_ps((__m512)p, (__m512)n);
}
// weights of one row's logits s [n], of which [from, to) count; what they sum to
static inline float weighed(float* s, uint16_t* y, int64_t n, float scale) {
  scale *= 1.44269504f; V top = splat(-3e38f), total{};
  for (int64_t i = 0; i < n; i += 16) top = most(top, load<V>(s + i));
  float off = most(top) * scale;
  for (int64_t i = 0; i < n; i += 16) { V e = power(load<V>(s + i) * scale - off); total += e; store(y + i, narrow(e)); }
  return sum(total);
}
static inline float weighed(float* s, float* y, int64_t n, float scale) {
  V top = splat(-3e38f), total{};
  for (int64_t i = 0; i < n; i += 16) top = most(top, load<V>(s + i));
  float off = most(top) * scale;
  for (int64_t i = 0; i < n; i += 16) { V e = exp16(load<V>(s + i) * scale - off); total += e; store(y + i, e); }
  return sum(total);
}

// out [count, D] of each head; a token reads `window` places to both sides, all of them where that is negative
template <class Op> static void attend(const Asked& a, int64_t heads, int64_t d, float scale, int64_t window, const Heads& room) {
  typedef typename Op::In In; int64_t all = padded(a.tokens, BROAD), steps = d / Op::per; alignas(64) float mixed[TALL * BROAD];
  for (int64_t head = 0; head < heads; head++) {
    key_panels<Op>((const In*)a.k + head * d, a.across, a.tokens, d, room.keys);
    value_panels<Op>((const In*)a.v + head * d, a.across, a.tokens, d, room.values);
    for (int64_t m = 0, h; m < a.count; m += h) {
      h = height(a.count - m);
      int64_t place = a.first + m, low = 0, high = all;
      if (window >= 0) {
        low = place > window ? (place - window) / BROAD * BROAD : 0;
        high = padded(place + h + window, BROAD); high = high < all ? high : all;
      }
      int64_t n = high - low; float *s = (float*)room.scores; In* w = (In*)room.shares; float total[TALL];
      for (int64_t j = low; j < high; j += BROAD)
        tile<Op>(h, (const char*)((const In*)a.q + m * a.q_across + head * d), a.q_across * sizeof(In), room.keys + j * steps * 4, steps, s + j - low, n * 4);
      for (int64_t r = 0; r < h; r++, place++) {
        int64_t from = low, to = a.tokens;
        if (window >= 0) { from = place - window > from ? place - window : from; to = place + window + 1 < to ? place + window + 1 : to; }
        for (int64_t j = low; j < from; j++) s[r * n + j - low] = -1e30f;
        for (int64_t j = to; j < high; j++) s[r * n + j - low] = -1e30f;
        total[r] = 1.f / weighed(s + r * n, w + r * n, n, scale);
      }
      for (int64_t i = 0; i < d; i += BROAD) {
        tile<Op>(h, (const char*)w, n * sizeof(In), room.values + i * all / Op::per * 4 + low / Op::per * 128, n / Op::per, mixed, 128);
        for (int64_t r = 0; r < h; r++) for (int64_t j = 0; j < BROAD; j += 16)
          store(a.out + (m + r) * a.out_across + head * d + i + j, load<V>(mixed + r * BROAD + j) * total[r]);
      }
    }
  }
}
