// "Did you mean ...?": the nearest of several valid names by edit distance.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace basin::base {

/// The candidate with the smallest Levenshtein distance; empty when there is none within half the word's length.
std::string NearestName(std::string_view word, std::span<const std::string> candidates);
/// "a, b, c"
std::string JoinNames(std::span<const std::string> names);

}  // namespace basin::base
