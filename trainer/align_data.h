// Rows of --align that look at training images (trainer/align.h).
#pragma once

#include <vector>

#include "trainer/align.h"

namespace basin::trainer {

std::vector<Alignment> AlignByActivation(std::span<const merge::NetworkPair> pairs, const AlignTools& tools);

}  // namespace basin::trainer
