// Where the threads of a pass wait for each other.
//
// OpenMP's own barrier sends them to sleep at once where a program has more of its threads than there are cores, as a server has,
// and being woken fifty times takes a fifth of a pass. Here they look for a while, and then let others have the core between looks.
#pragma once
#include <atomic>
#include <cstdint>
#include <sched.h>

static const int LOOKS = 2000;  // some ten microseconds

struct Meeting {
  alignas(64) std::atomic<int64_t> came{0};
  alignas(64) std::atomic<int64_t> round{0};

  void wait(int64_t of) {
    int64_t now = round.load(std::memory_order_relaxed);
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
};
