// Fully connected network: the image flattened, hidden layers of Linear, norm, ReLU, then Linear to the classes.
// Names: layers.0, layers.1, ... in order (the last is the classifier), norms.0, norms.1, ... Any input size.
#pragma once

#include <memory>

#include "models/classifier.h"

namespace basin::models {

std::shared_ptr<Classifier> MakeMlp(const ModelOptions& options, const InputShape& input, int64_t classes);

}  // namespace basin::models
