// The names that PyTorch gives to types, for pth.cc and pth_reader.cc.
#pragma once

#include <array>
#include <string_view>

#include "base/safetensors.h"

namespace basin::base {

struct PthType {
  DType dtype;
  std::string_view storage;  ///< class in module torch; empty: torch.storage.UntypedStorage, and the tensor names its type
  std::string_view name;     ///< torch.<name>
};

inline constexpr std::array<PthType, 19> kPthTypes{{
    {DType::kF32, "FloatStorage", "float32"}, {DType::kF64, "DoubleStorage", "float64"}, {DType::kF16, "HalfStorage", "float16"},
    {DType::kBF16, "BFloat16Storage", "bfloat16"}, {DType::kI64, "LongStorage", "int64"}, {DType::kI32, "IntStorage", "int32"},
    {DType::kI16, "ShortStorage", "int16"}, {DType::kI8, "CharStorage", "int8"}, {DType::kU8, "ByteStorage", "uint8"},
    {DType::kBool, "BoolStorage", "bool"}, {DType::kC64, "ComplexFloatStorage", "complex64"}, {DType::kU16, "", "uint16"},
    {DType::kU32, "", "uint32"}, {DType::kU64, "", "uint64"}, {DType::kF8E4M3, "", "float8_e4m3fn"},
    {DType::kF8E5M2, "", "float8_e5m2"}, {DType::kF8E4M3FNUZ, "", "float8_e4m3fnuz"}, {DType::kF8E5M2FNUZ, "", "float8_e5m2fnuz"},
    {DType::kF8E8M0, "", "float8_e8m0fnu"},
}};

}  // namespace basin::base
