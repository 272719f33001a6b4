#include "base/memory.h"

#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace basin::base {

void KeepFreedMemory() {
#if defined(__GLIBC__)
  // No block of its own mapping: the default maps every block above a threshold anew (32 MiB at most, less than one
  // activation of a large network).
  mallopt(M_MMAP_MAX, 0);
  // Never hand back the end of the heap, and let it grow in steps that are worth a system call.
  constexpr int kGrowBy = 64 << 20;
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, kGrowBy);
  // The heaps of further arenas, one a thread, are unmapped as soon as they are empty, whatever the threshold. A step makes
  // few allocations for its arithmetic, so threads that are members do not wait for each other at the one arena.
  mallopt(M_ARENA_MAX, 1);
#endif
}

}  // namespace basin::base
