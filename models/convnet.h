// The small convolutional network of the quick start: 61,338 parameters for ten classes. Names: conv1, bn1, ..., fc.
#pragma once

#include <memory>

#include "models/classifier.h"

namespace basin::models {

std::shared_ptr<Classifier> MakeConvNet(const ModelOptions& options, const InputShape& input, int64_t classes);

}  // namespace basin::models
