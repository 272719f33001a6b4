#include "merge/match.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "base/tensor_match.h"

namespace basin::merge {
namespace {

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

base::NetworkSignature SignatureOf(const models::StateDict& state, size_t number) {
  base::NetworkSignature signature{Text("network ", number), {}};
  for (const models::NamedTensor& item : state) {
    const base::DType dtype = DTypeOf(item.tensor, item.name);
    signature.tensors.push_back({item.name, std::string(base::DTypeName(dtype)), item.tensor.sizes().vec()});
  }
  return signature;
}

}  // namespace

base::Columns Versions::columns() const {
  base::Columns columns{name, DTypeOf(tensors[0], name), tensors[0].numel(), {}};
  for (const torch::Tensor& tensor : tensors) {
    columns.data.push_back(static_cast<const std::byte*>(tensor.const_data_ptr()));
  }
  return columns;
}

std::vector<Versions> MatchStates(std::span<const models::StateDict* const> states) {
  std::vector<base::NetworkSignature> signatures;
  for (const models::StateDict* state : states) signatures.push_back(SignatureOf(*state, signatures.size()));
  const std::vector<std::vector<size_t>> places = base::MatchTensors(signatures);
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
