"""How quickly this machine's memory can be read: the limit of whatever reads every weight once a token."""

from __future__ import annotations

import ctypes
import subprocess

from benchmarks.support.ground import RUNS

SOURCE = r"""
#include <immintrin.h>
#include <omp.h>
#include <sys/mman.h>
#include <cstdint>
#include <cstring>
extern "C" double read_speed(int64_t bytes, int threads, int rounds) {  // bytes a second, the best round
  const size_t page = 2 << 20;
  char* whole = (char*)mmap(0, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* at = (char*)(((uintptr_t)whole + page - 1) / page * page);
  madvise(at, bytes, MADV_HUGEPAGE);
  memset(at, 1, bytes);
  double best = 0; volatile int64_t kept = 0;
  for (int round = 0; round < rounds; round++) {
    double begin = omp_get_wtime();
#pragma omp parallel num_threads(threads)
    {
      int64_t me = omp_get_thread_num(), of = omp_get_num_threads(), n = bytes / of / 256 * 256, s[4] = {0, 0, 0, 0};
      const char* p = at + me * n;
      for (int64_t i = 0; i < n; i += 256) for (int j = 0; j < 4; j++) {  // a number of every 64 bytes, which are read at once
        __builtin_prefetch(p + i + 64 * j + 4096, 0, 0);
        s[j] += *(const int64_t*)(p + i + 64 * j);
      }
#pragma omp atomic
      kept += s[0] + s[1] + s[2] + s[3];
    }
    double speed = bytes / (omp_get_wtime() - begin);
    best = speed > best ? speed : best;
  }
  munmap(whole, bytes + page);
  return best;
}
"""


def read_speed(threads: int, megabytes: int = 512, rounds: int = 7) -> float:
    """Bytes a second that so many threads read from memory in large pages, each its own part from end to end: the best round."""
    folder = RUNS / "stream"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stream.cpp").write_text(SOURCE, "utf-8")
    built = folder / "stream.so"
    subprocess.run(
        ["g++", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", str(folder / "stream.cpp"), "-o", str(built)], check=True
    )
    measured = ctypes.CDLL(str(built)).read_speed
    measured.restype, measured.argtypes = ctypes.c_double, (ctypes.c_int64, ctypes.c_int, ctypes.c_int)
    return float(measured(megabytes << 20, threads, rounds))
