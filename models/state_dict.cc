#include "models/state_dict.h"

#include <torch/types.h>

#include <array>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/nearest.h"
#include "base/safetensors.h"

namespace basin::models {
namespace {

constexpr std::array<std::pair<base::DType, torch::ScalarType>, 10> kTypes = {{
    {base::DType::kF32, torch::kFloat32}, {base::DType::kF64, torch::kFloat64}, {base::DType::kF16, torch::kFloat16},
    {base::DType::kBF16, torch::kBFloat16}, {base::DType::kI64, torch::kInt64}, {base::DType::kI32, torch::kInt32},
    {base::DType::kI16, torch::kInt16}, {base::DType::kI8, torch::kInt8}, {base::DType::kU8, torch::kUInt8},
    {base::DType::kBool, torch::kBool},
}};

base::DType FileType(const NamedTensor& item) {
  for (const auto& [file, memory] : kTypes) {
    if (memory == item.tensor.scalar_type()) return file;
  }
  throw CheckFailed(Text("tensor ", item.name, " is ", item.tensor.scalar_type(), ", a type that is not saved"));
}

torch::ScalarType MemoryType(const base::TensorView& view, const std::filesystem::path& path) {
  for (const auto& [file, memory] : kTypes) {
    if (file == view.dtype) return memory;
  }
  throw DataError(Text(path.string(), ": tensor ", view.name, " is of type ", base::DTypeName(view.dtype),
                       "; allowed: F32, F64, F16, BF16, I64, I32, I16, I8, U8, BOOL. Convert the file"));
}

std::span<const std::byte> BytesOf(const torch::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), static_cast<size_t>(tensor.nbytes())};
}

/// Pre-order walk: own parameters, own buffers, then the submodules.
class Collector {
 public:
  void Visit(const torch::nn::Module& module, const std::string& prefix) {
    for (const auto& item : module.named_parameters(/*recurse=*/false)) Add(prefix + item.key(), item.value());
    for (const auto& item : module.named_buffers(/*recurse=*/false)) Add(prefix + item.key(), item.value());
    for (const auto& item : module.named_children()) Visit(*item.value(), prefix + item.key() + ".");
  }
  StateDict Take() { return std::move(state_); }

 private:
  void Add(const std::string& name, const torch::Tensor& tensor) {
    if (!tensor.defined()) return;
    if (tensor.numel() > 0) {
      // Two names for the same elements are a tied weight. (The storage alone says nothing: all parameters may share one.)
      if (!seen_.insert({tensor.const_data_ptr(), tensor.sizes().vec(), tensor.strides().vec()}).second) return;
    }
    state_.push_back({name, tensor.detach()});
  }

  StateDict state_;
  std::set<std::tuple<const void*, std::vector<int64_t>, std::vector<int64_t>>> seen_;
};

std::string ShapeText(const torch::Tensor& tensor) { return Text(tensor.scalar_type(), " ", tensor.sizes()); }

/// The first names of a long list are enough to see what is wrong.
std::string Listing(const std::string& title, const std::vector<std::string>& names) {
  constexpr size_t kShown = 10;
  if (names.empty()) return "";
  const std::vector<std::string> shown(names.begin(), names.begin() + std::min(names.size(), kShown));
  const std::string rest = names.size() > kShown ? Text(" and ", names.size() - kShown, " more") : "";
  return Text("; ", title, ": ", base::JoinNames(shown), rest);
}

}  // namespace

StateDict StateOf(const torch::nn::Module& module) {
  Collector collector;
  collector.Visit(module, "");
  return collector.Take();
}

StateDict CloneState(const StateDict& state) {
  torch::NoGradGuard no_grad;
  StateDict copy;
  copy.reserve(state.size());
  for (const NamedTensor& item : state) {
    const auto options = item.tensor.options().device(torch::kCPU);
    copy.push_back({item.name, torch::empty(item.tensor.sizes(), options).copy_(item.tensor)});
  }
  return copy;
}

void LoadState(torch::nn::Module& module, const StateDict& state, const std::string& source) {
  torch::NoGradGuard no_grad;
  const StateDict own = StateOf(module);
  std::vector<std::string> missing, unexpected, misshapen;
  for (const NamedTensor& item : own) {
    const torch::Tensor* given = FindTensor(state, item.name);
    if (given == nullptr) {
      missing.push_back(item.name);
    } else if (given->sizes() != item.tensor.sizes() || given->is_floating_point() != item.tensor.is_floating_point()) {
      misshapen.push_back(Text(item.name, " (found ", ShapeText(*given), ", expected ", ShapeText(item.tensor), ")"));
    }
  }
  for (const NamedTensor& item : state) {
    if (FindTensor(own, item.name) == nullptr) unexpected.push_back(item.name);
  }
  if (!missing.empty() || !unexpected.empty() || !misshapen.empty()) {
    throw DataError(Text(source, " does not fit the network", Listing("missing", missing), Listing("unexpected", unexpected),
                         Listing("of another shape", misshapen), ". Is it of the same model, width, norm, and number of classes?"));
  }
  for (const NamedTensor& item : own) torch::Tensor(item.tensor).copy_(*FindTensor(state, item.name));
}

const torch::Tensor* FindTensor(const StateDict& state, const std::string& name) {
  for (const NamedTensor& item : state) {
    if (item.name == name) return &item.tensor;
  }
  return nullptr;
}

base::FileDigest SaveState(const std::filesystem::path& path, const StateDict& state,
                           const std::map<std::string, std::string>& metadata) {
  std::vector<base::TensorView> declared;
  for (const NamedTensor& item : state) declared.push_back({item.name, FileType(item), item.tensor.sizes().vec(), {}});
  base::SafetensorsWriter writer(path, std::move(declared), metadata);
  const std::vector<base::TensorView> order = writer.order();
  for (const base::TensorView& view : order) {
    const torch::Tensor host = FindTensor(state, view.name)->detach().cpu().contiguous();
    writer.Append(BytesOf(host));
  }
  return writer.Commit();
}

StateDict ReadState(const std::filesystem::path& path) {
  const base::SafetensorsReader reader(path);
  StateDict state;
  for (const base::TensorView& view : reader.tensors()) {
    torch::Tensor tensor = torch::empty(view.shape, MemoryType(view, path));
    // The file packs tensors without regard to alignment, so the bytes cannot be used in place.
    if (!view.bytes.empty()) std::memcpy(tensor.mutable_data_ptr(), view.bytes.data(), view.bytes.size());
    if (tensor.is_floating_point() && !torch::isfinite(tensor).all().item<bool>()) {
      const int64_t bad = tensor.numel() - torch::isfinite(tensor).sum().item<int64_t>();
      throw DataError(Text(path.string(), ": tensor ", view.name, " has ", bad, " of ", tensor.numel(),
                           " values that are not finite (NaN or infinite). The run that wrote it diverged"));
    }
    state.push_back({view.name, tensor});
  }
  return state;
}

bool IsBatchNormStatistic(const std::string& name) {
  const std::string last = name.substr(name.rfind('.') + 1);  // npos + 1 is 0: a name without a dot
  return last == "running_mean" || last == "running_var" || last == "num_batches_tracked";
}

}  // namespace basin::models
