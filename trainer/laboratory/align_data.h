// Rows of --align that look at training images (trainer/laboratory/align.h).
#pragma once

#include <vector>

#include "trainer/laboratory/align.h"

namespace basin::trainer {

std::vector<Alignment> AlignByActivation(std::span<const merge::NetworkPair> pairs, const AlignTools& tools);
std::vector<Alignment> AlignByStraightThrough(std::span<const merge::NetworkPair> pairs, const AlignTools& tools);
/// Begun at weight matching's permutations.
std::vector<Alignment> AlignBySinkhorn(std::span<const merge::NetworkPair> pairs, const AlignTools& tools);
/// All to the first, by mixtures that are no permutations.
std::vector<Alignment> AlignByCca(std::span<const models::StateDict> networks, const AlignTools& tools);

}  // namespace basin::trainer
