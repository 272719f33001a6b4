// ResNet (He et al., arXiv 1512.03385) with torchvision's names. resnet20, 32, 44, 56: three stages of 16, 32, 64 channels, from
// 8x8; their shortcuts are projections, because a zero-padded one ties the channels of two stages to each other.
// resnet18, 34, 50: torchvision's networks from 64 pixels of height on; below that (from 32x32) the stem is the one usual for
// small images, a 3x3 convolution without stride and no max-pool.
#pragma once

#include <memory>

#include "models/classifier.h"

namespace basin::models {

std::shared_ptr<Classifier> MakeResNet(const ModelOptions& options, const InputShape& input, int64_t classes);

}  // namespace basin::models
