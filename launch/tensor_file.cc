#include "launch/tensor_file.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/safetensors.h"
#include "report/table.h"

namespace basin::launch {
namespace {

using base::DType;
using base::Json;

template <typename T>
T Load(const std::byte* bytes, int64_t i) {
  T value;
  std::memcpy(&value, bytes + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

double FromHalf(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double sign = (bits >> 15) != 0 ? -1 : 1;
  if (exponent == 31) return mantissa != 0 ? NAN : sign * INFINITY;
  return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

/// The i-th element as a double; nothing for dtypes without a plain number.
std::optional<double> Element(const base::TensorView& tensor, int64_t i) {
  const std::byte* bytes = tensor.bytes.data();
  switch (tensor.dtype) {
    case DType::kF32: return Load<float>(bytes, i);
    case DType::kF64: return Load<double>(bytes, i);
    case DType::kF16: return FromHalf(Load<uint16_t>(bytes, i));
    case DType::kBF16: return std::bit_cast<float>(uint32_t{Load<uint16_t>(bytes, i)} << 16);
    case DType::kI64: return static_cast<double>(Load<int64_t>(bytes, i));
    case DType::kI32: return Load<int32_t>(bytes, i);
    case DType::kI16: return Load<int16_t>(bytes, i);
    case DType::kI8: return Load<int8_t>(bytes, i);
    case DType::kU8: case DType::kBool: return Load<uint8_t>(bytes, i);
    default: return std::nullopt;
  }
}

Json Norm(const base::TensorView& tensor) {
  double sum = 0;
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    const auto value = Element(tensor, i);
    if (!value) return nullptr;
    sum += *value * *value;
  }
  return std::sqrt(sum);
}

std::string ShapeText(const Json& shape) { return shape.dump(); }

/// Why two tensors of one name differ; null when they do not.
Json Difference(const base::TensorView& a, const base::TensorView& b) {
  if (a.dtype != b.dtype) {
    return {{"name", a.name}, {"why", Text("dtype ", base::DTypeName(a.dtype), " against ", base::DTypeName(b.dtype))}};
  }
  if (a.shape != b.shape) {
    return {{"name", a.name}, {"why", Text("shape ", Json(a.shape).dump(), " against ", Json(b.shape).dump())}};
  }
  if (a.bytes.empty() || std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0) return nullptr;
  Json difference{{"name", a.name}, {"why", "values"}};
  double largest = 0, sum = 0;
  for (int64_t i = 0; i < a.num_elements(); ++i) {
    const auto x = Element(a, i), y = Element(b, i);
    if (!x) return difference;
    largest = std::max(largest, std::abs(*x - *y));
    sum += (*x - *y) * (*x - *y);
  }
  difference["max_abs"] = largest;
  difference["distance"] = std::sqrt(sum);
  return difference;
}

}  // namespace

Json DescribeTensors(const std::filesystem::path& file) {
  const base::SafetensorsReader reader(file);
  Json report{{"file", file.string()}, {"metadata", Json::object()}, {"parameters", 0}, {"tensors", Json::array()}};
  for (const auto& [key, value] : reader.metadata()) report["metadata"][key] = value;
  int64_t elements = 0;
  for (const base::TensorView& tensor : reader.tensors()) {
    elements += tensor.num_elements();
    report["tensors"].push_back({{"name", tensor.name},
                                 {"shape", tensor.shape},
                                 {"dtype", base::DTypeName(tensor.dtype)},
                                 {"norm", Norm(tensor)},
                                 {"hash", base::HexHash(base::Hash64(tensor.bytes))}});
  }
  report["parameters"] = elements;
  return report;
}

Json CompareTensors(const std::filesystem::path& first, const std::filesystem::path& second) {
  const base::SafetensorsReader a(first), b(second);
  Json report{{"equal", true},
              {"only_in_first", Json::array()},
              {"only_in_second", Json::array()},
              {"different", Json::array()}};
  for (const base::TensorView& tensor : a.tensors()) {
    const base::TensorView* other = b.Find(tensor.name);
    if (other == nullptr) {
      report["only_in_first"].push_back(tensor.name);
    } else if (Json difference = Difference(tensor, *other); !difference.is_null()) {
      report["different"].push_back(std::move(difference));
    }
  }
  for (const base::TensorView& tensor : b.tensors()) {
    if (a.Find(tensor.name) == nullptr) report["only_in_second"].push_back(tensor.name);
  }
  report["equal"] = report["only_in_first"].empty() && report["only_in_second"].empty() && report["different"].empty();
  return report;
}

std::string TensorsText(const Json& report) {
  report::Table table({"tensor", "shape", "dtype", "norm", "xxh64"});
  for (const Json& tensor : report["tensors"]) {
    table.AddRow({tensor["name"].get<std::string>(), ShapeText(tensor["shape"]), tensor["dtype"].get<std::string>(),
                  tensor["norm"].is_null() ? "-" : Text(tensor["norm"].get<double>()), tensor["hash"].get<std::string>()});
  }
  return table.Render() + Text(report["tensors"].size(), " tensors, ", report["parameters"].get<int64_t>(), " elements");
}

std::string DifferencesText(const Json& report) {
  if (report["equal"].get<bool>()) return "equal: every tensor has the same name, shape, dtype and bytes";
  std::string text;
  for (const Json& name : report["only_in_first"]) text += "only in the first:  " + name.get<std::string>() + '\n';
  for (const Json& name : report["only_in_second"]) text += "only in the second: " + name.get<std::string>() + '\n';
  for (const Json& difference : report["different"]) {
    text += "differs: " + difference["name"].get<std::string>() + ": " + difference["why"].get<std::string>();
    if (difference.contains("max_abs")) {
      text += Text(", largest difference ", difference["max_abs"].get<double>(), ", distance ", difference["distance"].get<double>());
    }
    text += '\n';
  }
  return text + "the files differ";
}

}  // namespace basin::launch
