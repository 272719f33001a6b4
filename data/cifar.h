// CIFAR-10 and CIFAR-100, the binary version: records of label bytes and 3072 pixels (planar RGB, 32 x 32).
#pragma once

#include "data/dataset.h"

namespace basin::data {

/// data_batch_*.bin (all that are there, in order of their number; at least one) and test_batch.bin, records of 3073
/// bytes, in options.path or its cifar-10-batches-bin. The count comes from the size; a remainder is a DataError.
Dataset LoadCifar10(const DataOptions& options);
/// train.bin and test.bin, records of 3074 bytes (coarse label, fine label), in options.path or its cifar-100-binary.
/// The label is the fine one.
Dataset LoadCifar100(const DataOptions& options);

}  // namespace basin::data
