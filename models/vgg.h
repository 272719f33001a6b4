// VGG (Simonyan and Zisserman, arXiv 1409.1556) for small images: the convolutions of vgg11, 13, 16 or 19, a global mean and one
// Linear layer. Names: torchvision's features.* (convolution, norm, ReLU and pool are counted), classifier. From 32x32.
#pragma once

#include <memory>

#include "models/classifier.h"

namespace basin::models {

std::shared_ptr<Classifier> MakeVgg(const ModelOptions& options, const InputShape& input, int64_t classes);

}  // namespace basin::models
