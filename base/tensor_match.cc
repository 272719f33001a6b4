#include "base/tensor_match.h"

#include <unordered_map>

#include "base/error.h"

namespace basin::base {
namespace {

using Index = std::unordered_map<std::string, size_t>;

Index IndexOf(const NetworkSignature& network) {
  Index index;
  for (size_t i = 0; i < network.tensors.size(); ++i) {
    if (!index.emplace(network.tensors[i].name, i).second) {
      throw DataError(Text(network.label, ": tensor ", network.tensors[i].name, " occurs twice"));
    }
  }
  return index;
}

/// The first few of the names that `other` lacks.
std::string Lacking(const NetworkSignature& network, const Index& other) {
  constexpr int kShown = 5;
  std::string names;
  int count = 0;
  for (const TensorSignature& tensor : network.tensors) {
    if (other.contains(tensor.name)) continue;
    if (++count <= kShown) names += (count > 1 ? ", " : "") + tensor.name;
  }
  if (count == 0) return "none";
  return count > kShown ? Text(names, " and ", count - kShown, " more") : names;
}

std::string Describe(const TensorSignature& tensor) {
  std::string text = tensor.type + " [";
  for (size_t i = 0; i < tensor.shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(tensor.shape[i]);
  return text + "]";
}

constexpr char kMend[] =
    ". Only networks of one architecture can be put together (same model, width, norm, classes and types)";

}  // namespace

std::vector<std::vector<size_t>> MatchTensors(const std::vector<NetworkSignature>& networks) {
  const NetworkSignature& first = networks.at(0);
  std::vector<std::vector<size_t>> places(first.tensors.size());
  const Index first_index = IndexOf(first);
  for (const NetworkSignature& network : networks) {
    const Index index = IndexOf(network);
    const std::string missing = Lacking(first, index), unexpected = Lacking(network, first_index);
    if (missing != "none" || unexpected != "none") {
      throw DataError(Text(network.label, " does not match ", first.label, ": missing tensors: ", missing,
                           "; unexpected tensors: ", unexpected, kMend));
    }
    for (size_t t = 0; t < first.tensors.size(); ++t) {
      const TensorSignature& wanted = first.tensors[t];
      const size_t place = index.at(wanted.name);
      const TensorSignature& found = network.tensors[place];
      if (found.type != wanted.type || found.shape != wanted.shape) {
        throw DataError(Text(network.label, ": tensor ", wanted.name, " is ", Describe(found), "; in ", first.label,
                             " it is ", Describe(wanted), kMend));
      }
      places[t].push_back(place);
    }
  }
  return places;
}

}  // namespace basin::base
