// LibTorch's threads for the arithmetic of base/average.h.
#pragma once

#include <ATen/Parallel.h>

#include "base/average.h"

namespace basin::merge {

/// A base::ForBlocks.
inline void InParallel(int64_t begin, int64_t end, int64_t grain, const base::BlockWork& work) {
  at::parallel_for(begin, end, grain, work);
}

}  // namespace basin::merge
