// One pass of an encoder over texts that lie one behind another, without padding, in int8, bfloat16 or float32.
//
// A piece is a few whole texts, small enough for the cache. Several pieces: each thread takes the next one that is free and
// carries it through all layers alone. One piece: its rows are shared among the threads, who wait for each other once a layer,
// where a row's attention reads the others' keys. A number never depends on a text's neighbours, on the piece or on the threads.
//
// Widths are padded with zeros: rows to 64, heads to 32. Legend: M tokens, E hidden size, H heads, D head size, F inner size.

#ifndef __AVX512BW__
#error "an encoder's quick pass needs AVX-512"
#endif
#include "heads.h"
#include "meeting.h"
#include "multiply.h"

extern "C" {
struct Layer { Norm before; Matrix qkv, out; Norm between; Matrix up, down; Norm behind; int64_t window; const float *cosines, *sines; };
struct Head { Matrix dense, out; Norm norm; float eps; int64_t act, rms; };  // of a text: no dense layer where dense.w is null, no labels where out.w is
struct Net {
  int64_t bits, depth, hidden, width, entry_hidden, entry_width, heads, head, turned, paired, inner, gated, act, after, rms;
  float eps, scale, entry_eps, entry_scale; const float *tokens, *places, *types; Norm entry; Matrix project; const Layer* layers; Norm last; Head judge;
};
struct Pass {  // text t has tokens starts[t] to starts[t + 1], piece i the texts bounds[i] to bounds[i + 1]
  int64_t pieces, want, threads, tokens, texts, longest, block;  // 0: all tokens are wanted, 1: first ones, 2: texts' means, or what the head says of these; most tokens, texts of a piece
  const int32_t *ids, *types, *starts, *bounds; float* out; char* scratch;
};
}

template <class Op> struct Room {
  typedef typename Op::In In; typedef typename Kept<Op>::As As; typedef typename As::In Held;
  float *x, *x_first; Held *qkv[2], *q_first;                                        // of a piece
  float *mixed, *wide, *row; In* in; Levels* levels; In* in_first; Levels* levels_first; Heads heads;  // of a thread
};
template <class Op> static void shared_room(const Net& net, const Pass& p, Purse& purse, Room<Op>& r) {
  int64_t hd = net.heads * net.head;
  purse.take(r.x, p.tokens * net.width); purse.take(r.x_first, p.texts * net.width);
  purse.take(r.qkv[0], p.tokens * 3 * hd); purse.take(r.qkv[1], p.tokens * 3 * hd); purse.take(r.q_first, p.texts * hd);
}
template <class Op> static void own_room(const Net& net, const Pass& p, Purse& purse, Room<Op>& r) {
  int64_t hd = net.heads * net.head, up = net.inner * (net.gated ? 2 : 1), widest = net.width > hd ? net.width : hd, all = padded(p.longest, BROAD);
  widest = widest > net.inner ? widest : net.inner;
  int64_t wide = up > 3 * hd ? up : 3 * hd; wide = wide > net.entry_width ? wide : net.entry_width; wide = wide > net.width ? wide : net.width;
  purse.take(r.mixed, p.tokens * hd); purse.take(r.wide, p.block * wide); purse.take(r.row, widest);
  purse.take(r.in, p.block * widest); purse.take(r.levels, p.block); purse.take(r.in_first, p.block * widest); purse.take(r.levels_first, p.block);
  purse.take(r.heads.keys, all * net.head * 4); purse.take(r.heads.values, all * net.head * 4);
  purse.take(r.heads.scores, TALL * all * 4); purse.take(r.heads.shares, TALL * all * 4);
}

template <class Op> struct Worker {
  typedef typename Op::In In; typedef typename Kept<Op>::As As; typedef typename As::In Held;
  const Net& net; const Pass& p; Room<Op>& r; Meeting& meeting; int64_t text, texts, token, tokens, hd;  // the piece's first text and token, and how many

  void embed(int64_t m, int64_t rows) {
    int64_t wide = net.entry_width; float* to = net.project.w ? r.wide : r.x + m * net.width;
    for (int64_t i = 0; i < rows; i++) {
      float* x = to + i * wide; int64_t at = token + m + i;
      const float *word = net.tokens + p.ids[at] * wide, *type = net.types ? net.types + (p.types ? p.types[at] : 0) * wide : nullptr;
      const float* where = net.places ? net.places + place_of(m + i) * wide : nullptr;
      for (int64_t j = 0; j < wide; j += 16) {
        V v = load<V>(word + j) * net.entry_scale;
        if (type) v += load<V>(type + j);
        if (where) v += load<V>(where + j);
        store(x + j, v);
      }
      if (net.entry.w) normed(net.entry, x, x, wide, net.entry_hidden, net.entry_eps, false);
    }
    if (net.project.w) multiply<Floats>(net.project, 0, net.project.n, to, r.levels, rows, [&](int64_t i, int64_t n, V u, V v) {
      float* x = r.x + (m + i) * net.width + n; store(x, u); store(x + 16, v);
    });
  }
  void norm(const Norm& n, const float* x, float* y) { normed(n, x, y, net.width, net.hidden, net.eps, net.rms); }

  // rotary: one row [.., H * D] from its start on
  void turn(float* x, const Layer& a, int64_t place) {
    int64_t half = net.turned / 2; const float *c = a.cosines + place * half, *s = a.sines + place * half;
    for (int64_t h = 0; h < net.heads; h++, x += net.head) for (int64_t i = 0; i < half; i++) {
      int64_t b = net.paired ? 2 * i : i, d = net.paired ? 2 * i + 1 : i + half; float u = x[b], v = x[d];
      x[b] = u * c[i] - v * s[i]; x[d] = v * c[i] + u * s[i];
    }
  }
  int64_t text_of(int64_t m) { int64_t t = text; while (p.starts[t + 1] <= token + m) t++; return t; }
  int64_t place_of(int64_t m) { return token + m - p.starts[text_of(m)]; }

  // queries, keys and values of `rows` rows that are laid out in `in`: columns [from, to) to y [rows, to - from]; `first` of them in the piece
  template <class Place> void project(const Layer& a, int64_t from, int64_t to, const In* in, const Levels* l, int64_t rows, Held* y, int64_t across, Place place) {
    if (!net.turned) {
      multiply<Op, FAR>(a.qkv, from, to, in, l, rows, [&](int64_t m, int64_t n, V u, V v) { held(y + m * across + n, u); held(y + m * across + n + 16, v); });
      return;
    }
    multiply<Op, FAR>(a.qkv, from, to, in, l, rows, [&](int64_t m, int64_t n, V u, V v) { store(r.wide + m * 3 * hd + n, u); store(r.wide + m * 3 * hd + n + 16, v); });
    for (int64_t m = 0; m < rows; m++) {
      float* x = r.wide + m * 3 * hd; int64_t at = place(m);
      if (from < hd) turn(x, a, at);
      if (to > hd) turn(x + hd, a, at);
      for (int64_t i = from; i < to; i += 16) held(y + m * across + i, load<V>(x + i));
    }
  }
  // rows [m, m + rows) enter a layer: its queries, keys and values; of the last one, where first tokens are wanted, only their queries
  void enter(int64_t layer, int64_t m, int64_t rows) {
    const Layer& a = net.layers[layer]; bool few = p.want == 1 && layer == net.depth - 1; int64_t width = net.width;
    for (int64_t i = 0; i < rows; i++) {
      const float* x = r.x + (m + i) * width;
      if (a.before.w) { norm(a.before, x, r.row); x = r.row; }
      r.levels[i] = put(x, r.in + i * width, width);
    }
    Held* y = r.qkv[layer & 1] + m * 3 * hd;
    project(a, few ? hd : 0, 3 * hd, r.in, r.levels, rows, y, 3 * hd, [&](int64_t i) { return place_of(m + i); });
    if (!few) return;
    int64_t begin = text_of(m), count = 0;
    if (p.starts[begin] < token + m) begin++;
    for (int64_t t = begin; t < text + texts && p.starts[t] < token + m + rows; t++, count++) {
      int64_t at = p.starts[t] - token;
      memcpy(r.in_first + count * width, r.in + (at - m) * width, width * sizeof(In)); r.levels_first[count] = r.levels[at - m];
      memcpy(r.x_first + (t - text) * width, r.x + at * width, width * 4);
    }
    project(a, 0, hd, r.in_first, r.levels_first, count, r.q_first + (begin - text) * hd, hd, [](int64_t) { return 0; });
  }
  void attention(int64_t layer, int64_t t, const Held* q, int64_t across, int64_t first, int64_t count, float* out) {
    const Layer& a = net.layers[layer]; int64_t length = p.starts[t + 1] - p.starts[t];
    const Held* k = r.qkv[layer & 1] + (p.starts[t] - token) * 3 * hd + hd;
    attend<As>({q, k, k + hd, across, 3 * hd, first, count, length, out, hd}, net.heads, net.head, net.scale, a.window, r.heads);
  }
  // what follows a layer's attention, of `rows` rows x
  void follow(const Layer& a, float* x, const float* mixed, int64_t rows) {
    int64_t width = net.width, up = net.inner * (net.gated ? 2 : 1);
    auto add = [&](int64_t m, int64_t n, V u, V v) { float* y = x + m * width + n; store(y, load<V>(y) + u); store(y + 16, load<V>(y + 16) + v); };
    for (int64_t m = 0; m < rows; m++) r.levels[m] = put(mixed + m * hd, r.in + m * hd, hd);
    multiply<Op, FAR>(a.out, 0, a.out.n, r.in, r.levels, rows, add);
    for (int64_t m = 0; m < rows; m++) {
      float* y = net.after ? x + m * width : r.row;
      norm(a.between, x + m * width, y); r.levels[m] = put(y, r.in + m * width, width);
    }
    if (net.gated) {
      multiply<Op, FAR>(a.up, 0, up, r.in, r.levels, rows, [&](int64_t m, int64_t n, V u, V v) { float* y = r.wide + m * up + n; store(y, u); store(y + 16, v); });
      for (int64_t m = 0; m < rows; m++) {
        float* y = r.wide + m * up;
        for (int64_t i = 0; i < net.inner; i += 16) store(y + i, activated<Op>(net.act, load<V>(y + i)) * load<V>(y + net.inner + i));
      }
    } else
      multiply<Op, FAR>(a.up, 0, up, r.in, r.levels, rows, [&](int64_t m, int64_t n, V u, V v) {
        float* y = r.wide + m * up + n; store(y, activated<Op>(net.act, u)); store(y + 16, activated<Op>(net.act, v));
      });
    for (int64_t m = 0; m < rows; m++) r.levels[m] = put(r.wide + m * up, r.in + m * net.inner, net.inner);
    multiply<Op, FAR>(a.down, 0, a.down.n, r.in, r.levels, rows, add);
    if (a.behind.w) for (int64_t m = 0; m < rows; m++) norm(a.behind, x + m * width, x + m * width);
  }
  void leave(const float* x, float* y) {
    if (net.last.w) norm(net.last, x, y); else if (x != y) memcpy(y, x, net.width * 4);
  }
  void average(int64_t t, float* y) {
    int64_t n = p.starts[t + 1] - p.starts[t]; const float* x = r.x + (p.starts[t] - token) * net.width;
    for (int64_t i = 0; i < net.width; i += 16) {
      V v{}; for (int64_t m = 0; m < n; m++) v += load<V>(x + m * net.width + i);
      store(y + i, v / (float)n);
    }
  }
  // where the vector of the piece's text t goes, and what the head says of the vectors of `rows` texts from t on
  float* vector(int64_t t) { return net.judge.out.w ? r.x_first + t * net.width : p.out + (text + t) * net.width; }
  void judge(int64_t t, int64_t rows) {
    const Head& head = net.judge; float *x = r.x_first + t * net.width, *y = p.out + (text + t) * head.out.n;
    if (!head.out.w) return;
    if (head.dense.w) {
      float* dense = r.wide;
      multiply<Floats>(head.dense, 0, net.width, x, r.levels, rows, [&](int64_t m, int64_t n, V u, V v) {
        float* to = dense + m * net.width + n; store(to, told(head.act, u)); store(to + 16, told(head.act, v));
      });
      if (head.norm.w) for (int64_t m = 0; m < rows; m++) normed(head.norm, dense + m * net.width, dense + m * net.width, net.width, net.hidden, head.eps, head.rms);
      x = dense;
    }
    multiply<Floats>(head.out, 0, head.out.n, x, r.levels, rows, [&](int64_t m, int64_t n, V u, V v) { store(y + m * head.out.n + n, u); store(y + m * head.out.n + n + 16, v); });
  }
  static int64_t share(int64_t n, int64_t me, int64_t of) { return n * me / of; }
  template <class Do> void blocks(int64_t low, int64_t high, Do what) {
    int64_t count = (high - low + p.block - 1) / p.block;
    for (int64_t i = 0; i < count; i++) { int64_t m = low + (high - low) * i / count; what(m, low + (high - low) * (i + 1) / count - m); }
  }

  void wait(int64_t me, int64_t of) const { if (of > 1) meeting.wait(me, of); }
  // One code for one thread and for several: copies might be compiled to round in two ways.
  __attribute__((noinline, noclone)) void run(int64_t me, int64_t of) {
    int64_t low = share(tokens, me, of), high = share(tokens, me + 1, of), width = net.width;
    blocks(low, high, [&](int64_t m, int64_t rows) { embed(m, rows); enter(0, m, rows); });
    for (int64_t l = 0; l < net.depth; l++) {
      wait(me, of);
      const Layer& a = net.layers[l]; bool last = l == net.depth - 1;
      if (last && p.want == 1) {
        blocks(share(texts, me, of), share(texts, me + 1, of), [&](int64_t t, int64_t rows) {
          for (int64_t i = t; i < t + rows; i++) attention(l, text + i, r.q_first + i * hd, hd, 0, 1, r.mixed + (i - t) * hd);
          follow(a, r.x_first + t * width, r.mixed, rows);
          for (int64_t i = t; i < t + rows; i++) leave(r.x_first + i * width, vector(i));
          judge(t, rows);
        });
        continue;
      }
      const Held* q = r.qkv[l & 1];
      for (int64_t m = low, next; m < high; m = next) {
        int64_t t = text_of(m); next = p.starts[t + 1] - token; next = next < high ? next : high;
        attention(l, t, q + m * 3 * hd, 3 * hd, place_of(m), next - m, r.mixed + (m - low) * hd);
      }
      blocks(low, high, [&](int64_t m, int64_t rows) {
        follow(a, r.x + m * width, r.mixed + (m - low) * hd, rows);
        if (!last) enter(l + 1, m, rows);
        else for (int64_t i = m; i < m + rows; i++) leave(r.x + i * width, p.want ? r.x + i * width : p.out + (token + i) * width);
      });
    }
    if (p.want != 2) return;
    wait(me, of);
    blocks(share(texts, me, of), share(texts, me + 1, of), [&](int64_t t, int64_t rows) {
      for (int64_t i = t; i < t + rows; i++) average(text + i, vector(i));
      judge(t, rows);
    });
  }
};

template <class Op> static int64_t pass(const Net& net, const Pass& p, bool count) {
  bool together = p.pieces == 1; Purse purse{p.scratch, 0}; Room<Op> rooms[64];
  for (int64_t i = 0; i < p.threads; i++) {
    if (i && together) rooms[i] = rooms[0]; else shared_room<Op>(net, p, purse, rooms[i]);
    own_room<Op>(net, p, purse, rooms[i]);
  }
  if (count) return purse.used;
  Meeting meeting;
  auto worker = [&](int64_t me, int64_t piece) {
    int64_t text = p.bounds[piece], texts = p.bounds[piece + 1] - text, token = p.starts[text];
    return Worker<Op>{net, p, rooms[me], meeting, text, texts, token, p.starts[text + texts] - token, net.heads * net.head};
  };
  int64_t taken = 0, threads = p.threads;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
#ifdef _OPENMP
    int64_t me = omp_get_thread_num(), of = omp_get_num_threads();
#else
    int64_t me = 0, of = 1;
#endif
    if (of > 1) meeting.sit(me, of);
    if (together) worker(me, 0).run(me, of);
    else for (int64_t piece; (piece = __atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED)) < p.pieces;) worker(me, piece).run(0, 1);
  }
  return 0;
}
static int64_t pass(const Net& net, const Pass& p, bool count) {
  return net.bits == 8 ? pass<Bytes>(net, p, count) : net.bits == 16 ? pass<Halves>(net, p, count) : pass<Floats>(net, p, count);
}
extern "C" int64_t scratch_size(const Net* net, const Pass* p) { return pass(*net, *p, true); }  // in bytes
extern "C" void encode(const Net* net, const Pass* p) { pass(*net, *p, false); }
