"""How quickly this machine's memory can be read: the limit of whatever reads every weight once a token."""

from __future__ import annotations

import ctypes
import subprocess

from benchmarks.support.ground import RUNS

TIMES = 5
SOURCE = r"""
#include <omp.h>
#include <sys/mman.h>
#include <cstdint>
#include <cstring>
extern "C" char* room(int64_t bytes) {  // in large pages
  const int64_t page = 2 << 20;
  char* whole = (char*)mmap(0, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* at = (char*)(((uintptr_t)whole + page - 1) / page * page);
  madvise(at, bytes, MADV_HUGEPAGE);
  memset(at, 1, bytes);
  return at;
}
extern "C" double read_all(const char* at, int64_t bytes, int threads) {  // seconds
  volatile int64_t kept = 0;
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
  return omp_get_wtime() - begin;
}
"""


class Stream:
    """A plain read of `size` bytes of memory by so many threads, each its own part from end to end."""

    def __init__(self, threads: int, size: int = 1 << 30) -> None:
        folder = RUNS / "stream"
        folder.mkdir(parents=True, exist_ok=True)
        source, built = folder / "stream.cpp", folder / "stream.so"
        source.write_text(SOURCE, "utf-8")
        flags = ("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")
        subprocess.run(["g++", *flags, str(source), "-o", str(built)], check=True)
        library = ctypes.CDLL(str(built))
        library.room.restype, library.room.argtypes = ctypes.c_void_p, (ctypes.c_int64,)
        library.read_all.restype, library.read_all.argtypes = ctypes.c_double, (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int)
        self._read, self.size, self._threads, self._at = library.read_all, size, threads, library.room(size)

    def __call__(self) -> float:
        """Seconds: the quickest of some, others can only slow it down."""
        return min(float(self._read(self._at, self.size, self._threads)) for _ in range(TIMES))
