// One pass of a pre-norm decoder over a few tokens, in float32, bfloat16 or int8. A pass over few tokens costs what reading the
// weights costs, so nothing else may stand in its way: each thread streams its own columns of every matrix, does the small work
// between two matrices for itself, and waits for the others only where it needs their numbers, four times a layer.
//
// Token m is of the text row[m], stands at slot[m] of that text's keys and reads slots 0 to slot[m]; those that are `want`ed are
// named in order. Many tokens are read piece by piece. Keys and values lie in pages of `page` tokens: a text's i-th one is the
// table[row * per + i]th, which other texts may read too. From layer to layer it is `deep` numbers, from page to page `gap`, from
// key/value head to head `across`.
// Widths are multiples of 32 (the vocabulary is filled up). A row of queries, keys and values goes by key/value head: its queries,
// its key, its value. A gate's columns and those that it is multiplied with take turns, 32 by 32.
// Legend: E hidden size, H heads, G key/value heads, D head size, F inner size.

#include "decoder_attention.h"
#include "meeting.h"
#include "multiply.h"

extern "C" {
struct Layer { Norm first; Matrix qkv, out; Norm second; Matrix up, down; };
struct Net {
  int64_t bits, depth, vocab, hidden, heads, groups, head, inner, gated, act, rms, turned, paired;
  float eps, scale, entry_scale; const float *words, *places, *cosines, *sines; const Layer* layers; Norm last; Matrix logits;
};
struct Pass {
  int64_t tokens, page, per, deep, gap, across, wanted, threads; const int64_t *ids, *row, *slot, *want, *table; void *keys, *values; float* out;
  char* scratch;
};
}

struct Piece : Pass { int64_t begin; };  // some of its tokens, from the `begin`th on

static const int64_t PIECE = 128;  // tokens that go through all layers together
static const int64_t ABREAST = 4;  // queries that read keys together
static const int64_t LEAST = 16;   // keys, for which that is worth it
static const int64_t FEW = 4;      // tokens that every thread prepares for itself: quicker than to share them and to wait

template <class Op> struct Stored { typedef uint16_t Type; };  // what keys and values are kept as
template <> struct Stored<Floats> { typedef float Type; };

template <class Op> struct Room {
  typedef typename Op::In In;
  float *x, *qkv, *mixed, *inner; In* in; Levels* levels; int64_t* along;  // of all
  In* own_in; Levels* own_levels; float *row, *gate, *logits;  // of a thread
};
template <class Op> static void shared_room(const Net& net, const Piece& p, int64_t widest, Purse& purse, Room<Op>& r) {
  purse.take(r.x, p.tokens * net.hidden); purse.take(r.qkv, p.tokens * net.layers->qkv.n);
  purse.take(r.mixed, p.tokens * net.heads * net.head); purse.take(r.inner, p.tokens * net.inner);
  purse.take(r.in, p.tokens * widest); purse.take(r.levels, p.tokens); purse.take(r.along, p.tokens);
}
template <class Op> static void own_room(const Net& net, const Piece& p, int64_t widest, Purse& purse, Room<Op>& r) {
  purse.take(r.own_in, FEW * widest); purse.take(r.own_levels, FEW); purse.take(r.row, net.hidden);
  purse.take(r.gate, p.tokens * BROAD); purse.take(r.logits, ABREAST * (p.per * p.page + 16));
}

template <class Op> struct Worker {
  typedef typename Op::In In; typedef typename Stored<Op>::Type Held;
  const Net& net; const Piece& p; const Room<Op>& r; Meeting& meeting; int64_t me, of;
  In* in; Levels* levels;  // the rows that are multiplied next

  int64_t low(int64_t n) const { return n * me / of; }
  int64_t high(int64_t n) const { return n * (me + 1) / of; }
  void wait() const { if (of > 1) meeting.wait(me, of); }
  // `rows` rows row(m) of `n` numbers in the type that they are multiplied in
  template <class Row> void prepare(int64_t rows, int64_t n, Row row) {
    bool few = rows <= FEW;
    in = few ? r.own_in : r.in; levels = few ? r.own_levels : r.levels;
    for (int64_t m = few ? 0 : low(rows); m < (few ? rows : high(rows)); m++) levels[m] = put(row(m), in + m * n, n);
    if (!few) wait();
  }
  void embed(int64_t m) {
    const float *word = net.words + p.ids[m] * net.hidden, *place = net.places + p.slot[m] * net.hidden;
    for (int64_t i = 0; i < net.hidden; i += 16) {
      V v = load<V>(word + i) * net.entry_scale;
      store(r.x + m * net.hidden + i, net.places ? v + load<V>(place + i) : v);
    }
  }
  const float* normed_row(const Norm& norm, int64_t m) const {
    normed(norm, r.x + m * net.hidden, r.row, net.hidden, net.hidden, net.eps, net.rms);
    return r.row;
  }
  // this thread's columns, `unit` of them together
  template <class End> void multiply_own(const Matrix& a, int64_t rows, End end, int64_t unit = BROAD) {
    multiply<Op, MEMORY>(a, low(a.n / unit) * unit, high(a.n / unit) * unit, in, levels, rows, end);
  }
  void add(const Matrix& a) {
    multiply_own(a, p.tokens, [&](int64_t m, int64_t n, V u, V v) {
      float* y = r.x + m * net.hidden + n; store(y, load<V>(y) + u); store(y + 16, load<V>(y + 16) + v);
    });
  }

  // How many of the first slots `ABREAST` tokens from m on have in common
  int64_t shared(int64_t m) const {
    int64_t n = p.slot[m] + 1;
    for (int64_t j = 1; j < ABREAST; j++) { n = n < r.along[m + j] ? n : r.along[m + j]; }
    return n;
  }
  // How many token m has in common with the one before: of one text, or of texts whose first pages are the same
  int64_t with_last(int64_t m) const {
    int64_t n = (p.slot[m] < p.slot[m - 1] ? p.slot[m] : p.slot[m - 1]) + 1, i = 0;
    if (p.row[m] == p.row[m - 1]) return n;
    const int64_t *a = p.table + p.row[m] * p.per, *b = p.table + p.row[m - 1] * p.per;
    while (i * p.page < n && a[i] == b[i]) i++;
    return i * p.page < n ? i * p.page : n;
  }

  // Where the key/value heads are shared out evenly, a thread reads what it has made itself.
  void attention(const Matrix& qkv, int64_t layer) {
    int64_t d = net.head, per = net.heads / net.groups, wide = (per + 2) * d, half = net.turned / 2;
    bool alone = net.groups % of == 0 && net.groups / of * wide % BROAD == 0;
    Held *keys = (Held*)p.keys + layer * p.deep, *values = (Held*)p.values + layer * p.deep;
    multiply_own(qkv, p.tokens, [&](int64_t m, int64_t n, V u, V v) { store(r.qkv + m * qkv.n + n, u); store(r.qkv + m * qkv.n + n + 16, v); });
    if (!alone) wait();
    for (int64_t i = low(net.groups * p.tokens); i < high(net.groups * p.tokens); i++) {
      int64_t g = i / p.tokens, m = i % p.tokens, slot = p.slot[m];
      int64_t at = p.table[p.row[m] * p.per + slot / p.page] * p.gap + g * p.across + slot % p.page * d;
      float *q = r.qkv + m * qkv.n + g * wide, *k = q + per * d;
      if (half) for (int64_t j = 0; j <= per; j++) turn(q + j * d, net.cosines + slot * half, net.sines + slot * half, net.turned, net.paired);
      for (int64_t j = 0; j < d; j += 16) { held(keys + at + j, load<V>(k + j)); held(values + at + j, load<V>(k + d + j)); }
    }
    if (!alone) wait();
    for (int64_t i = low(net.heads * p.tokens); i < high(net.heads * p.tokens); i++) {
      int64_t head = i / p.tokens, m = i % p.tokens, g = head / per, left = high(net.heads * p.tokens) - i;
      const Held *k = keys + g * p.across, *v = values + g * p.across; Query queries[ABREAST];
      int64_t common = left < ABREAST || p.tokens - m < ABREAST ? 0 : shared(m), count = common < LEAST ? 1 : ABREAST;
      for (int64_t j = 0; j < count; j++)
        queries[j] = {r.qkv + (m + j) * qkv.n + g * wide + head % per * d, {p.table + p.row[m + j] * p.per, p.page, p.gap, d},
                      p.slot[m + j] + 1, r.logits + j * (p.per * p.page + 16), r.mixed + ((m + j) * net.heads + head) * d};
      if (count == 1) attend<1>(queries, k, v, queries->n, net.scale); else attend<ABREAST>(queries, k, v, common, net.scale);
      i += count - 1;
    }
  }
  void feed(const Matrix& up) {
    multiply_own(up, p.tokens, [&](int64_t m, int64_t n, V u, V v) {
      float *gate = r.gate + m * BROAD, *y = r.inner + m * net.inner + n;
      if (net.gated) {
        if (n / BROAD % 2 == 0) { store(gate, activated<Op>(net.act, u)); store(gate + 16, activated<Op>(net.act, v)); return; }
        y = r.inner + m * net.inner + n / (2 * BROAD) * BROAD; u *= load<V>(gate); v *= load<V>(gate + 16);
      } else { u = activated<Op>(net.act, u); v = activated<Op>(net.act, v); }
      store(y, u); store(y + 16, v);
    }, net.gated ? 2 * BROAD : BROAD);
  }
  void run() {
    int64_t mixed = net.heads * net.head;
    for (int64_t m = low(p.tokens); m < high(p.tokens); m++) { embed(m); r.along[m] = m ? with_last(m) : 0; }
    wait();
    for (int64_t l = 0; l < net.depth; l++) {
      const Layer& a = net.layers[l];
      prepare(p.tokens, net.hidden, [&](int64_t m) { return normed_row(a.first, m); });
      attention(a.qkv, l);
      wait();
      prepare(p.tokens, mixed, [&](int64_t m) { return r.mixed + m * mixed; });
      add(a.out);
      wait();
      prepare(p.tokens, net.hidden, [&](int64_t m) { return normed_row(a.second, m); });
      feed(a.up);
      wait();
      prepare(p.tokens, net.inner, [&](int64_t m) { return r.inner + m * net.inner; });
      add(a.down);
      wait();
    }
    if (!p.wanted) return;
    prepare(p.wanted, net.hidden, [&](int64_t m) { return normed_row(net.last, p.want[m] - p.begin); });
    multiply_own(net.logits, p.wanted, [&](int64_t m, int64_t n, V u, V v) { store(p.out + m * net.logits.n + n, u); store(p.out + m * net.logits.n + n + 16, v); });
  }
};

template <class Op> static int64_t pass(const Net& net, const Piece& p, bool count) {
  Purse purse{p.scratch, 0}; Room<Op> rooms[64]; int64_t widest = net.hidden > net.inner ? net.hidden : net.inner;
  widest = widest > net.heads * net.head ? widest : net.heads * net.head;
  shared_room(net, p, widest, purse, rooms[0]);
  for (int64_t i = 0; i < p.threads; i++) { rooms[i] = rooms[0]; own_room(net, p, widest, purse, rooms[i]); }
  if (count) return purse.used;
  Meeting meeting;
#pragma omp parallel num_threads(p.threads)
  {
#ifdef _OPENMP
    int64_t me = omp_get_thread_num(), of = omp_get_num_threads();
#else
    int64_t me = 0, of = 1;
#endif
    if (of > 1) meeting.sit(me, of);
    Worker<Op>{net, p, rooms[me], meeting, me, of}.run();
  }
  return 0;
}
static int64_t pass(const Net& net, const Piece& p, bool count) {
  return net.bits == 8 ? pass<Bytes>(net, p, count) : net.bits == 16 ? pass<Halves>(net, p, count) : pass<Floats>(net, p, count);
}
extern "C" int64_t scratch_size(const Net* net, const Pass* all) {  // in bytes
  Piece p{*all, 0}; p.tokens = p.tokens < PIECE ? p.tokens : PIECE;
  return pass(*net, p, true);
}
extern "C" int64_t decode(const Net* net, const Pass* all) {  // the first token that is no token, -1 where all are: then it is done
  for (int64_t m = 0; m < all->tokens; m++) if (all->ids[m] < 0 || all->ids[m] >= net->vocab) return m;
  for (int64_t begin = 0, done = 0; begin < all->tokens; begin += PIECE) {
    Piece p{*all, begin}; int64_t left = all->tokens - begin;
    p.tokens = left < PIECE ? left : PIECE; p.ids += begin; p.row += begin; p.slot += begin;
    p.want += done; p.out += done * net->logits.n; p.wanted = 0;
    while (done < all->wanted && all->want[done] < begin + p.tokens) { done++; p.wanted++; }
    pass(*net, p, false);
  }
  return -1;
}
