// MNIST and Fashion-MNIST: the IDX format, plain or gzip.
#pragma once

#include "data/dataset.h"

namespace basin::data {

/// {train,t10k}-{images-idx3,labels-idx1}-ubyte, each plain or with .gz (plain wins), in options.path or in the `raw`
/// folder that torchvision makes. uint8 [n, 1, rows, columns], 10 classes. DataError: missing, empty or broken gzip,
/// wrong magic, count or size.
Dataset LoadMnist(const DataOptions& options);
Dataset LoadFashionMnist(const DataOptions& options);

}  // namespace basin::data
