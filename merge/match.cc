#include "merge/match.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "base/error.h"

namespace basin::merge {
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

base::DType DTypeOf(const torch::Tensor& tensor, const std::string& name) {
  constexpr std::array<std::pair<torch::ScalarType, base::DType>, 10> kTypes = {{{torch::kFloat32, base::DType::kF32},
                                                                                 {torch::kFloat64, base::DType::kF64},
                                                                                 {torch::kFloat16, base::DType::kF16},
                                                                                 {torch::kBFloat16, base::DType::kBF16},
                                                                                 {torch::kInt64, base::DType::kI64},
                                                                                 {torch::kInt32, base::DType::kI32},
                                                                                 {torch::kInt16, base::DType::kI16},
                                                                                 {torch::kInt8, base::DType::kI8},
                                                                                 {torch::kUInt8, base::DType::kU8},
                                                                                 {torch::kBool, base::DType::kBool}}};
  for (const auto& [memory, dtype] : kTypes) {
    if (memory == tensor.scalar_type()) return dtype;
  }
  throw DataError(Text("tensor ", name, " is of type ", tensor.scalar_type(),
                       "; allowed: float32, float64, float16, bfloat16, int64, int32, int16, int8, uint8, bool"));
}

NetworkSignature SignatureOf(const models::StateDict& state, size_t number) {
  NetworkSignature signature{Text("network ", number), {}};
  for (const models::NamedTensor& item : state) {
    const base::DType dtype = DTypeOf(item.tensor, item.name);
    signature.tensors.push_back({item.name, std::string(base::DTypeName(dtype)), item.tensor.sizes().vec()});
  }
  return signature;
}

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

Columns Versions::columns() const {
  Columns columns{name, DTypeOf(tensors[0], name), tensors[0].numel(), {}};
  for (const torch::Tensor& tensor : tensors) {
    columns.data.push_back(static_cast<const std::byte*>(tensor.const_data_ptr()));
  }
  return columns;
}

std::vector<Versions> MatchStates(std::span<const models::StateDict* const> states) {
  std::vector<NetworkSignature> signatures;
  for (const models::StateDict* state : states) signatures.push_back(SignatureOf(*state, signatures.size()));
  const std::vector<std::vector<size_t>> places = MatchTensors(signatures);
  std::vector<Versions> matched(places.size());
  for (size_t t = 0; t < places.size(); ++t) {
    matched[t].name = (*states[0])[t].name;
    for (size_t k = 0; k < states.size(); ++k) {
      matched[t].tensors.push_back((*states[k])[places[t][k]].tensor.detach().cpu().contiguous());
    }
  }
  return matched;
}

}  // namespace basin::merge
