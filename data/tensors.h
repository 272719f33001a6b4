// The user's own data set: safetensors files with `images` and `labels`.
#pragma once

#include "data/dataset.h"

namespace basin::data {

/// train.safetensors, test.safetensors and, when it is there, validation.safetensors in options.path. Each: `images`
/// uint8 or float32 [n, C, H, W], `labels` int64 [n]; all files agree in dtype and [C, H, W]. From train.safetensors also:
/// `mean` and `std` (float32 or float64 [C], both or neither) and the metadata entry "classes"; without it the number of
/// classes is the largest training label + 1. Other tensors are ignored. DataError for every breach.
Dataset LoadTensors(const DataOptions& options);

}  // namespace basin::data
