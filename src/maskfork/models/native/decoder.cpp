// One pass of a pre-norm decoder over a few tokens, in float32, bfloat16 or int8, without anything between two multiplications
// but what has to be there. Weights are read once a pass, which is what a token costs at small batches.
//
// A pass has M tokens: token m is of the text row[m], stands at slot[m] of that text's keys and reads slots 0 to slot[m].
// Widths are padded to 64 with zeros, so that no loop has a rest. Legend: E hidden size, H heads, G key/value heads, D head size.
//
// int8: weights have a scale a row; a token's numbers are rounded to its own 255 levels.

#include "vectors.h"

extern "C" {
struct Matrix { const void* w; const float* scale; const int32_t* sums; const float* bias; int64_t n, k; };
struct Norm { const float* w; const float* b; };
struct Layer { Norm first; Matrix qkv, out; Norm second; Matrix up, down; };
struct Net {
  int64_t bits, depth, hidden, heads, groups, head, inner, gated, act, rms, turned, paired;
  float eps, scale; const float *cosines, *sines; const Layer* layers; Norm last; Matrix logits;
};
struct Pass {
  int64_t tokens, rows, room, wanted, threads; float* x; const int32_t *row, *slot, *place, *want; void *keys, *values; float *out, *scratch;
};
}

struct Work { float *normed, *qkv, *mixed, *wide; uint8_t* bytes; uint16_t* half; float* scales; };

// ---- multiplication: R rows of a matrix with M tokens; what is read next is asked for ahead, across pages too ----
static const int64_t AHEAD = 4096;
static inline void ahead(const void* p) { __builtin_prefetch((const char*)p + AHEAD, 0, 0); }
template <int R, int M> static inline void block(const float* w, const float* x, int64_t k, float (*y)[M]) {
  V a[R][M] = {};
  for (int64_t i = 0; i < k; i += 16) {
    V v[M]; for (int m = 0; m < M; m++) v[m] = load<V>(x + m * k + i);
    for (int r = 0; r < R; r++) { ahead(w + r * k + i); V u = load<V>(w + r * k + i); for (int m = 0; m < M; m++) a[r][m] += u * v[m]; }
  }
  for (int r = 0; r < R; r++) for (int m = 0; m < M; m++) y[r][m] = sum(a[r][m]);
}
template <int R, int M> static inline void block(const uint16_t* w, const uint16_t* x, int64_t k, float (*y)[M]) {
#ifdef __AVX512BF16__
  __m512 a[R][M]; for (int r = 0; r < R; r++) for (int m = 0; m < M; m++) a[r][m] = _mm512_setzero_ps();
  for (int64_t i = 0; i < k; i += 32) {
    __m512bh v[M]; for (int m = 0; m < M; m++) v[m] = (__m512bh)_mm512_loadu_si512(x + m * k + i);
    for (int r = 0; r < R; r++) {
      ahead(w + r * k + i);
      __m512bh u = (__m512bh)_mm512_loadu_si512(w + r * k + i);
      for (int m = 0; m < M; m++) a[r][m] = _mm512_dpbf16_ps(a[r][m], u, v[m]);
    }
  }
  for (int r = 0; r < R; r++) for (int m = 0; m < M; m++) y[r][m] = _mm512_reduce_add_ps(a[r][m]);
#else
  V a[R][M] = {};
  for (int64_t i = 0; i < k; i += 16) {
    V v[M]; for (int m = 0; m < M; m++) v[m] = wide(x + m * k + i);
    for (int r = 0; r < R; r++) { V u = wide(w + r * k + i); for (int m = 0; m < M; m++) a[r][m] += u * v[m]; }
  }
  for (int r = 0; r < R; r++) for (int m = 0; m < M; m++) y[r][m] = sum(a[r][m]);
#endif
}
template <int R, int M> static inline void block(const int8_t* w, const uint8_t* x, int64_t k, int32_t (*y)[M]) {
#ifdef __AVX512VNNI__
  __m512i a[R][M]; for (int r = 0; r < R; r++) for (int m = 0; m < M; m++) a[r][m] = _mm512_setzero_si512();
  for (int64_t i = 0; i < k; i += 64) {
    __m512i v[M]; for (int m = 0; m < M; m++) v[m] = _mm512_loadu_si512(x + m * k + i);
    for (int r = 0; r < R; r++) {
      ahead(w + r * k + i);
      __m512i u = _mm512_loadu_si512(w + r * k + i);
      for (int m = 0; m < M; m++) a[r][m] = _mm512_dpbusd_epi32(a[r][m], v[m], u);
    }
  }
  for (int r = 0; r < R; r++) for (int m = 0; m < M; m++) y[r][m] = _mm512_reduce_add_epi32(a[r][m]);
#else
  for (int r = 0; r < R; r++) for (int m = 0; m < M; m++) {
    int32_t s = 0; for (int64_t i = 0; i < k; i++) s += (int32_t)w[r * k + i] * x[m * k + i];
    y[r][m] = s;
  }
#endif
}

template <int R, int M>
static inline void some(const Net& net, const Matrix& a, const Work& t, const float* x, int64_t n, int64_t m, float* y, bool add) {
  float f[R][M];
  if (net.bits == 8) {
    int32_t s[R][M];
    block<R, M>((const int8_t*)a.w + n * a.k, t.bytes + m * a.k, a.k, s);
    for (int r = 0; r < R; r++) for (int j = 0; j < M; j++) f[r][j] = (float)(s[r][j] - 128 * a.sums[n + r]) * a.scale[n + r] * t.scales[m + j];
  } else if (net.bits == 16) block<R, M>((const uint16_t*)a.w + n * a.k, t.half + m * a.k, a.k, f);
  else block<R, M>((const float*)a.w + n * a.k, x + m * a.k, a.k, f);
  int64_t width = padded(a.n);
  for (int r = 0; r < R; r++) for (int j = 0; j < M; j++) {
    float v = f[r][j] + (a.bias ? a.bias[n + r] : 0.f), *at = y + (m + j) * width + n + r;
    *at = add ? *at + v : v;
  }
}
template <int R> static inline void all(const Net& net, const Matrix& a, const Work& t, const float* x, int64_t n, int64_t tokens, float* y, bool add) {
  int64_t m = 0;
  for (; m + 8 <= tokens; m += 8) some<R, 8>(net, a, t, x, n, m, y, add);
  if (m + 4 <= tokens) { some<R, 4>(net, a, t, x, n, m, y, add); m += 4; }
  if (m + 2 <= tokens) { some<R, 2>(net, a, t, x, n, m, y, add); m += 2; }
  if (m < tokens) some<R, 1>(net, a, t, x, n, m, y, add);
}
// y [tokens, padded(n)] (+)= x [tokens, k] w' + bias; x as `rounded` has left it
static void multiply(const Net& net, const Matrix& a, const Work& t, const float* x, int64_t tokens, float* y, bool add) {
  if (tokens == 1) {
#pragma omp for schedule(static)
    for (int64_t n = 0; n < a.n / 4; n++) some<4, 1>(net, a, t, x, 4 * n, 0, y, add);
#pragma omp single
    for (int64_t n = a.n / 4 * 4; n < a.n; n++) some<1, 1>(net, a, t, x, n, 0, y, add);
    return;
  }
#pragma omp for schedule(static)
  for (int64_t n = 0; n < a.n / 2; n++) all<2>(net, a, t, x, 2 * n, tokens, y, add);
#pragma omp single
  if (a.n % 2) all<1>(net, a, t, x, a.n - 1, tokens, y, add);
}
// One token's numbers in the type that they are multiplied in
static void rounded(const Net& net, const Work& t, const float* x, int64_t m, int64_t k) {
  const float* p = x + m * k;
  if (net.bits == 16) for (int64_t i = 0; i < k; i++) t.half[m * k + i] = narrow(p[i]);
  if (net.bits != 8) return;
  float most = 0; for (int64_t i = 0; i < k; i++) most = fmaxf(most, fabsf(p[i]));
  float by = most > 0 ? 127.f / most : 0.f; t.scales[m] = most / 127.f;
  for (int64_t i = 0; i < k; i++) t.bytes[m * k + i] = (uint8_t)(int32_t)(p[i] * by + 128.5f);
}

static void normed(const Net& net, const Norm& norm, const float* x, float* y) {
  int64_t e = net.hidden; float mean = 0, square = 0;
  if (!net.rms) { for (int64_t i = 0; i < e; i++) mean += x[i]; mean /= e; }
  for (int64_t i = 0; i < e; i++) square += (x[i] - mean) * (x[i] - mean);
  float by = 1.f / sqrtf(square / e + net.eps);
  for (int64_t i = 0; i < e; i++) y[i] = (x[i] - mean) * by * norm.w[i] + (norm.b ? norm.b[i] : 0.f);
}
static void turned(const Net& net, float* x, const float* c, const float* s) {  // rotary, one head
  int64_t half = net.turned / 2;
  for (int64_t i = 0; i < half; i++) {
    int64_t a = net.paired ? 2 * i : i, b = net.paired ? 2 * i + 1 : i + half;
    float u = x[a], v = x[b]; x[a] = u * c[i] - v * s[i]; x[b] = v * c[i] + u * s[i];
  }
}
static void activated(const Net& net, float* x, float* y) {  // one token: x [inner or 2 * inner] -> y [inner]
  for (int64_t i = 0; i < net.inner; i += 16) {
    V v = load<V>(x + i), r;
    if (net.act == 0) r = v / (1.f + exp16(-1.5957691216f * (v + 0.044715f * v * v * v)));  // gelu by tanh
    else if (net.act == 1) r = v / (1.f + exp16(-v));                                       // silu
    else if (net.act == 2) r = v > 0.f ? v : V{};                                           // relu
    else for (int j = 0; j < 16; j++) r[j] = .5f * v[j] * (1.f + erff(v[j] * .70710678f));  // gelu
    if (net.gated) r *= load<V>(x + net.inner + i);
    memcpy(y + i, &r, 64);
  }
}

static inline void kept(float* to, const float* x, int64_t d) { memcpy(to, x, d * 4); }
static inline void kept(uint16_t* to, const float* x, int64_t d) { for (int64_t i = 0; i < d; i++) to[i] = narrow(x[i]); }
static inline V read(const float* p) { return load<V>(p); }
static inline V read(const uint16_t* p) { return wide(p); }

// One head of one token over the keys and values [room, D] of its text; `logits` has room for all of them
template <class T> static void attend(const Net& net, const float* q, const T* k, const T* v, int64_t n, float* logits, float* y) {
  int64_t d = net.head; float most = -1e30f, total = 0;
  for (int64_t j = 0; j < n; j++) {
    V a{}; for (int64_t i = 0; i < d; i += 16) a += load<V>(q + i) * read(k + j * d + i);
    logits[j] = sum(a) * net.scale; most = fmaxf(most, logits[j]);
  }
  for (int64_t j = n; j < (n + 15) / 16 * 16; j++) logits[j] = -1e30f;
  for (int64_t j = 0; j < n; j += 16) { V e = exp16(load<V>(logits + j) - most); memcpy(logits + j, &e, 64); }
  for (int64_t j = 0; j < n; j++) total += logits[j];
  for (int64_t i = 0; i < d; i += 16) {
    V a{}; for (int64_t j = 0; j < n; j++) a += logits[j] * read(v + j * d + i);
    a /= splat(total); memcpy(y + i, &a, 64);
  }
}
template <class T> static void attention(const Net& net, const Pass& p, const Work& t, int64_t layer, float* logits) {
  int64_t d = net.head, h = net.heads, g = net.groups, w = padded((h + 2 * g) * d), text = g * p.room * d;
  T *keys = (T*)p.keys + layer * p.rows * text, *values = (T*)p.values + layer * p.rows * text;
#pragma omp for schedule(static)
  for (int64_t m = 0; m < p.tokens; m++) {
    float *q = t.qkv + m * w, *k = q + h * d, *v = k + g * d;
    const float *c = net.cosines + p.place[m] * (net.turned / 2), *s = net.sines + p.place[m] * (net.turned / 2);
    if (net.turned) for (int64_t i = 0; i < h + g; i++) turned(net, q + i * d, c, s);
    for (int64_t i = 0; i < g; i++) {
      int64_t at = p.row[m] * text + (i * p.room + p.slot[m]) * d;
      kept(keys + at, k + i * d, d); kept(values + at, v + i * d, d);
    }
  }
#pragma omp for schedule(static)
  for (int64_t i = 0; i < p.tokens * h; i++) {
    int64_t m = i / h, head = i % h, at = p.row[m] * text + (head / (h / g)) * p.room * d;
    attend<T>(net, t.qkv + m * w + head * d, keys + at, values + at, p.slot[m] + 1, logits, t.mixed + m * padded(h * d) + head * d);
  }
}

extern "C" int64_t scratch_size(const Net* net, int64_t tokens, int64_t room, int64_t threads) {  // in floats
  int64_t most = padded(net->inner) > padded(net->hidden) ? padded(net->inner) : padded(net->hidden);
  int64_t mixed = padded(net->heads * net->head); most = mixed > most ? mixed : most;
  int64_t qkv = padded((net->heads + 2 * net->groups) * net->head), up = padded(net->inner * (net->gated ? 2 : 1));
  return tokens * (3 * most + qkv + up + 2 * most + 16) + threads * padded(room + 64) + 64;
}

extern "C" void decode(const Net* n, const Pass* pass) {
  const Net& net = *n; const Pass& p = *pass;
  int64_t e = padded(net.hidden), f = padded(net.inner), mixed = padded(net.heads * net.head), most = f > e ? f : e;
  most = mixed > most ? mixed : most;
  int64_t qkv = padded((net.heads + 2 * net.groups) * net.head), up = padded(net.inner * (net.gated ? 2 : 1));
  float* at = p.scratch; Work t;
  t.normed = at; at += p.tokens * most; t.mixed = at; at += p.tokens * most; t.qkv = at; at += p.tokens * qkv;
  t.wide = at; at += p.tokens * up; t.scales = at; at += p.tokens * 16; t.bytes = (uint8_t*)at; at += p.tokens * most;
  t.half = (uint16_t*)at; at += p.tokens * most;
  float* own = at;
#pragma omp parallel num_threads(p.threads)
  {
#ifdef _OPENMP
    int64_t me = omp_get_thread_num();
#else
    int64_t me = 0;
#endif
    float* logits = own + me * padded(p.room + 64);
    for (int64_t l = 0; l < net.depth; l++) {
      const Layer& a = net.layers[l];
#pragma omp for schedule(static)
      for (int64_t m = 0; m < p.tokens; m++) { normed(net, a.first, p.x + m * e, t.normed + m * e); rounded(net, t, t.normed, m, e); }
      multiply(net, a.qkv, t, t.normed, p.tokens, t.qkv, false);
      if (net.bits == 32) attention<float>(net, p, t, l, logits); else attention<uint16_t>(net, p, t, l, logits);
#pragma omp for schedule(static)
      for (int64_t m = 0; m < p.tokens; m++) rounded(net, t, t.mixed, m, mixed);
      multiply(net, a.out, t, t.mixed, p.tokens, p.x, true);
#pragma omp for schedule(static)
      for (int64_t m = 0; m < p.tokens; m++) { normed(net, a.second, p.x + m * e, t.normed + m * e); rounded(net, t, t.normed, m, e); }
      multiply(net, a.up, t, t.normed, p.tokens, t.wide, false);
#pragma omp for schedule(static)
      for (int64_t m = 0; m < p.tokens; m++) { activated(net, t.wide + m * up, t.normed + m * f); rounded(net, t, t.normed, m, f); }
      multiply(net, a.down, t, t.normed, p.tokens, p.x, true);
    }
#pragma omp for schedule(static)
    for (int64_t m = 0; m < p.wanted; m++) { normed(net, net.last, p.x + p.want[m] * e, t.normed + m * e); rounded(net, t, t.normed, m, e); }
    multiply(net, net.logits, t, t.normed, p.wanted, p.out, false);
  }
}
