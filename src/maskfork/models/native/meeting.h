// Where the threads of a pass wait for each other.
//
// OpenMP's own barrier sends them to sleep at once where a program has more of its threads than there are cores, as a server has,
// and being woken fifty times takes a fifth of a pass. Here they look for a while, and then let others have the core between looks.
//
// A thread that is woken while all cores are taken may be put on the core of one it works with, and the system leaves it there
// for some milliseconds, in which a pass takes three times as long: who finds another in its seat goes to a free one.
#pragma once
#include <atomic>
#include <cstdint>
#include <sched.h>

static const int LOOKS = 2000;  // some ten microseconds
static const int SEATS = 28;    // threads that are looked after: as many as fit beside the count in its line of the cache

struct Meeting {
  alignas(64) std::atomic<int64_t> came{0};
  std::atomic<int16_t> seats[SEATS];  // each thread's core when it last came, -1 before
  alignas(64) std::atomic<int64_t> round{0};

  Meeting() { for (auto& seat : seats) seat.store(-1, std::memory_order_relaxed); }

  // Thread `me` of `of` begins, or comes to a wait.
  void sit(int64_t me, int64_t of) {
#if defined(__linux__)
    if (of > SEATS) return;
    int core = sched_getcpu();
    seats[me].store((int16_t)core, std::memory_order_relaxed);
    for (int64_t i = 0; i < of; i++) if (i != me && seats[i].load(std::memory_order_relaxed) == core) return move(me, of);
#endif
  }

  void wait(int64_t me, int64_t of) {
    int64_t now = round.load(std::memory_order_relaxed);
    sit(me, of);
    if (came.fetch_add(1, std::memory_order_acq_rel) == of - 1) {
      came.store(0, std::memory_order_relaxed); round.store(now + 1, std::memory_order_release);
      return;
    }
    for (int looks = 0; round.load(std::memory_order_acquire) == now; looks++) {
      if (looks >= LOOKS) sched_yield();
#if defined(__x86_64__)
      else __builtin_ia32_pause();
#elif defined(__aarch64__)
      else asm volatile("yield");
#endif
    }
  }

private:
#if defined(__linux__)
  // To a core that this thread may use and nobody of the pass sits on; it stays free to be moved again.
  void move(int64_t me, int64_t of) {
    cpu_set_t all, free;
    if (sched_getaffinity(0, sizeof all, &all)) return;
    free = all;
    for (int64_t i = 0; i < of; i++) if (int seat = seats[i].load(std::memory_order_relaxed); seat >= 0) CPU_CLR(seat, &free);
    if (!CPU_COUNT(&free) || sched_setaffinity(0, sizeof free, &free)) return;
    sched_setaffinity(0, sizeof all, &all);
    seats[me].store((int16_t)sched_getcpu(), std::memory_order_relaxed);
  }
#endif
};
