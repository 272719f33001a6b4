#include "base/average.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/half.h"

namespace basin::base {
namespace {

constexpr int64_t kChunk = 1024;         // doubles: the working set stays in the first-level cache
constexpr int64_t kGrain = 64 * kChunk;  // less than this is not worth another thread
using Chunk = std::array<double, kChunk>;

double Widen(double x) { return x; }
double Widen(float x) { return static_cast<double>(x); }
template <typename T>
double Widen(T x) {
  return static_cast<double>(ToFloat(x));
}

// Rounded once.
void Narrow(double x, double& to) { to = x; }
void Narrow(double x, float& to) { to = static_cast<float>(x); }
void Narrow(double x, Half& to) { to = ToHalf(x); }
void Narrow(double x, BFloat16& to) { to = ToBFloat16(x); }

template <typename T>
T LoadAt(const std::byte* data, int64_t i) {
  T value;
  std::memcpy(&value, data + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
void StoreAt(std::byte* data, int64_t i, T value) {
  std::memcpy(data + i * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

/// Calls f with a value of the C++ type of a floating dtype.
template <typename F>
auto WithFloating(DType dtype, const F& f) {
  switch (dtype) {
    case DType::kF64: return f(double{});
    case DType::kF32: return f(float{});
    case DType::kF16: return f(Half{});
    case DType::kBF16: return f(BFloat16{});
    default: throw CheckFailed(Text("not a floating type: ", DTypeName(dtype)));
  }
}

void Load(DType dtype, const std::byte* data, int64_t begin, int64_t count, Chunk& to) {
  WithFloating(dtype, [&](auto type) {
    for (int64_t i = 0; i < count; ++i) to[i] = Widen(LoadAt<decltype(type)>(data, begin + i));
  });
}

void Store(DType dtype, const Chunk& from, int64_t begin, int64_t count, std::byte* data) {
  WithFloating(dtype, [&](auto type) {
    for (int64_t i = 0; i < count; ++i) {
      Narrow(from[i], type);
      StoreAt(data, begin + i, type);
    }
  });
}

/// work(begin, count) over blocks of at most kChunk.
template <typename Work>
void ForEachChunk(int64_t num_elements, const ForBlocks& for_blocks, const Work& work) {
  for_blocks(0, num_elements, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += kChunk) work(at, std::min(kChunk, end - at));
  });
}

/// Knuth's TwoSum: adds x to sum, the rounding error to low.
void AddCompensated(double x, double& sum, double& low) {
  const double total = sum + x, shift = total - sum;
  low += (sum - (total - shift)) + (x - shift);
  sum = total;
}

double DivideCompensated(double sum, double low, double divisor) {
  const double quotient = sum / divisor;
  const double rest = (std::fma(-quotient, divisor, sum) + low) / divisor;
  // Adding a zero would turn -0 into +0; an overflow has no meaningful rest.
  return rest == 0 || !std::isfinite(rest) ? quotient : quotient + rest;
}

/// Mean of the sorted values without the `dropped` smallest and largest; (K - 1) / 2 of them leave the median.
void TrimmedMean(const Columns& columns, int64_t dropped, std::byte* out, const ForBlocks& for_blocks) {
  const int64_t networks = static_cast<int64_t>(columns.data.size()), kept = networks - 2 * dropped;
  ForEachChunk(columns.num_elements, for_blocks, [&](int64_t begin, int64_t count) {
    Chunk chunk;
    std::vector<double> rows(static_cast<size_t>(count * networks));  // [count][networks]
    for (int64_t k = 0; k < networks; ++k) {
      Load(columns.dtype, columns.data[k], begin, count, chunk);
      for (int64_t i = 0; i < count; ++i) rows[i * networks + k] = chunk[i];
    }
    for (int64_t i = 0; i < count; ++i) {
      double* row = rows.data() + i * networks;
      // A NaN counts as larger than all: an order is needed, and a diverged network is dropped with the largest.
      std::sort(row, row + networks, [](double a, double b) { return a < b || (std::isnan(b) && !std::isnan(a)); });
      chunk[i] = std::accumulate(row + dropped + 1, row + dropped + kept, row[dropped]) / static_cast<double>(kept);
    }
    Store(columns.dtype, chunk, begin, count, out);
  });
}

/// Index of the first value that has all bits of `mask`, the exponent's: then it is NaN or infinite.
template <typename Bits>
int64_t FirstWithAll(const std::byte* data, int64_t num_elements, Bits mask) {
  const auto has_all = [&](int64_t i) { return (LoadAt<Bits>(data, i) & mask) == mask; };
  for (int64_t begin = 0; begin < num_elements; begin += kChunk) {
    const int64_t end = std::min(begin + kChunk, num_elements);
    // Counted in the type itself and without a way out in the middle, so that the compiler takes many at once.
    Bits found = 0;
    for (int64_t i = begin; i < end; ++i) found = static_cast<Bits>(found + (has_all(i) ? 1 : 0));
    for (int64_t i = begin; found > 0; ++i) {
      if (has_all(i)) return i;
    }
  }
  return -1;
}

template <typename T>
void Largest(const Columns& columns, std::byte* out) {
  std::memcpy(out, columns.data[0], static_cast<size_t>(columns.num_elements) * sizeof(T));
  for (size_t k = 1; k < columns.data.size(); ++k) {
    for (int64_t i = 0; i < columns.num_elements; ++i) {
      StoreAt(out, i, std::max(LoadAt<T>(out, i), LoadAt<T>(columns.data[k], i)));
    }
  }
}

}  // namespace

void InOneThread(int64_t begin, int64_t end, int64_t /*grain*/, const BlockWork& work) {
  if (begin < end) work(begin, end);
}

bool IsFloating(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kF16 || dtype == DType::kBF16;
}

void CheckAverageOptions(const AverageOptions& options, int64_t networks) {
  if (networks < 1) throw ConfigError("there is no network to average; give at least one");
  if (options.method == AverageMethod::kTrimmedMean && !(options.trim >= 0 && options.trim < 0.5)) {
    throw ConfigError(
        Text("trim is ", options.trim, "; allowed: at least 0 and below 0.5 (the share dropped at each end)"));
  }
  if (options.weights.empty()) return;
  if (options.method != AverageMethod::kUniform)
    throw ConfigError("weights are given, but only the mean can be weighted");
  if (static_cast<int64_t>(options.weights.size()) != networks) {
    throw ConfigError(Text(options.weights.size(), " weights for ", networks, " networks; give one a network"));
  }
  double sum = 0;
  for (const double weight : options.weights) {
    if (!(weight >= 0) || std::isinf(weight))
      throw ConfigError(Text("a weight is ", weight, "; allowed: finite, at least 0"));
    sum += weight;
  }
  if (sum == 0) throw ConfigError("all weights are 0; at least one must be above 0");
}

void AverageColumns(const Columns& columns, const AverageOptions& options, std::byte* out,
                    const ForBlocks& for_blocks) {
  if (columns.num_elements == 0) return;
  if (!IsFloating(columns.dtype)) return LargestOf(columns, out);
  const int64_t networks = static_cast<int64_t>(columns.data.size());
  switch (options.method) {
    case AverageMethod::kUniform: {
      const std::vector<double> ones(columns.data.size(), 1.0), &given = options.weights;
      const std::vector<double>& weights = given.empty() ? ones : given;
      return WeightedSum(columns, weights, std::accumulate(weights.begin(), weights.end(), 0.0), out, for_blocks);
    }
    case AverageMethod::kMedian: return TrimmedMean(columns, (networks - 1) / 2, out, for_blocks);
    case AverageMethod::kTrimmedMean: {
      // 0.29 x 100 is 28.999999999999996 in double; a share that means a whole number must give it.
      const auto dropped = static_cast<int64_t>(std::floor(options.trim * static_cast<double>(networks) + 1e-9));
      return TrimmedMean(columns, std::min(dropped, (networks - 1) / 2), out, for_blocks);
    }
  }
}

void WeightedSum(const Columns& columns, std::span<const double> weights, double divisor, std::byte* out,
                 const ForBlocks& for_blocks) {
  std::vector<size_t> used;
  for (size_t k = 0; k < weights.size(); ++k) {
    if (weights[k] != 0) used.push_back(k);
  }
  BASIN_CHECK(!used.empty() && weights.size() == columns.data.size(), columns.name, ": ", weights.size(), " weights");
  const bool compensated = columns.dtype == DType::kF64;  // the narrower types leave double enough spare bits
  ForEachChunk(columns.num_elements, for_blocks, [&](int64_t begin, int64_t count) {
    Chunk sum, low, x;
    low.fill(0);
    for (const size_t k : used) {
      Load(columns.dtype, columns.data[k], begin, count, x);
      const double weight = weights[k];
      if (k == used.front()) {
        // Not added to zero: -0 must stay -0.
        for (int64_t i = 0; i < count; ++i) sum[i] = weight * x[i];
      } else if (compensated) {
        for (int64_t i = 0; i < count; ++i) AddCompensated(weight * x[i], sum[i], low[i]);
      } else {
        for (int64_t i = 0; i < count; ++i) sum[i] += weight * x[i];
      }
    }
    if (compensated) {
      for (int64_t i = 0; i < count; ++i) sum[i] = DivideCompensated(sum[i], low[i], divisor);
    } else {
      for (int64_t i = 0; i < count; ++i) sum[i] /= divisor;
    }
    Store(columns.dtype, sum, begin, count, out);
  });
}

void LargestOf(const Columns& columns, std::byte* out) {
  switch (columns.dtype) {
    case DType::kI64: return Largest<int64_t>(columns, out);
    case DType::kI32: return Largest<int32_t>(columns, out);
    case DType::kI16: return Largest<int16_t>(columns, out);
    case DType::kI8: return Largest<int8_t>(columns, out);
    case DType::kU64: return Largest<uint64_t>(columns, out);
    case DType::kU32: return Largest<uint32_t>(columns, out);
    case DType::kU16: return Largest<uint16_t>(columns, out);
    case DType::kU8:
    case DType::kBool: return Largest<uint8_t>(columns, out);
    default: break;
  }
  const auto num_bytes = static_cast<size_t>((columns.num_elements * DTypeBits(columns.dtype) + 7) / 8);
  for (const std::byte* other : columns.data) {
    if (std::memcmp(columns.data[0], other, num_bytes) != 0) {
      throw DataError(
          Text("tensor ", columns.name, " is of type ", DTypeName(columns.dtype),
               " and differs between the networks; averages are taken of F64, F32, F16 and BF16. Convert the files"));
    }
  }
  std::memcpy(out, columns.data[0], num_bytes);
}

double SquaredDistance(DType dtype, const std::byte* a, const std::byte* b, int64_t num_elements, const ForBlocks& for_blocks) {
  constexpr int64_t kLanes = 16;  // sums side by side: one alone would wait for itself at every addition
  const int64_t chunks = (num_elements + kChunk - 1) / kChunk;
  std::vector<double> partial(static_cast<size_t>(chunks), 0.0);
  for_blocks(0, chunks, kGrain / kChunk, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      const int64_t begin = c * kChunk, count = std::min(kChunk, num_elements - begin);
      Chunk x, y;
      if (count < kChunk) x = y = Chunk{};  // zeros behind the end
      Load(dtype, a, begin, count, x);
      Load(dtype, b, begin, count, y);
      std::array<double, kLanes> sums{};
      for (int64_t i = 0; i < kChunk; i += kLanes) {
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          const double difference = x[i + lane] - y[i + lane];
          sums[lane] += difference * difference;
        }
      }
      partial[c] = std::accumulate(sums.begin(), sums.end(), 0.0);
    }
  });
  return std::accumulate(partial.begin(), partial.end(), 0.0);
}

double SquaredDeviation(const Columns& columns, const ForBlocks& for_blocks) {
  // One sum a chunk, added in order: the same on any number of threads.
  std::vector<double> partial(static_cast<size_t>((columns.num_elements + kChunk - 1) / kChunk), 0.0);
  for_blocks(0, static_cast<int64_t>(partial.size()), kGrain / kChunk, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      const int64_t begin = c * kChunk, count = std::min(kChunk, columns.num_elements - begin);
      Chunk mean{}, x;
      for (const std::byte* data : columns.data) {
        Load(columns.dtype, data, begin, count, x);
        for (int64_t i = 0; i < count; ++i) mean[i] += x[i];
      }
      for (int64_t i = 0; i < count; ++i) mean[i] /= static_cast<double>(columns.data.size());
      for (const std::byte* data : columns.data) {
        Load(columns.dtype, data, begin, count, x);
        for (int64_t i = 0; i < count; ++i) partial[c] += (x[i] - mean[i]) * (x[i] - mean[i]);
      }
    }
  });
  return std::accumulate(partial.begin(), partial.end(), 0.0);
}

int64_t FirstNonFinite(DType dtype, const std::byte* data, int64_t num_elements) {
  switch (dtype) {
    case DType::kF64: return FirstWithAll<uint64_t>(data, num_elements, 0x7FF0'0000'0000'0000U);
    case DType::kF32: return FirstWithAll<uint32_t>(data, num_elements, 0x7F80'0000U);
    case DType::kF16: return FirstWithAll<uint16_t>(data, num_elements, 0x7C00U);
    case DType::kBF16: return FirstWithAll<uint16_t>(data, num_elements, 0x7F80U);
    default: return -1;
  }
}

}  // namespace basin::base
