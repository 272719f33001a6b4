#include "data/cifar.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/files.h"
#include "data/find_file.h"

namespace basin::data {
namespace {

constexpr int64_t kSide = 32;
constexpr int64_t kPixels = 3 * kSide * kSide;

/// Label bytes before the pixels of a record; the last of them is the class.
struct Format {
  int64_t label_bytes, classes;
};
constexpr Format kCifar10{.label_bytes = 1, .classes = 10};
constexpr Format kCifar100{.label_bytes = 2, .classes = 100};
constexpr int64_t kCoarseClasses = 20;  // of CIFAR-100; not used, but a record with another one is damaged

Split ReadRecords(const std::filesystem::path& path, const Format& format) {
  const base::MappedFile file(path);
  const auto size = static_cast<int64_t>(file.bytes().size());
  const int64_t record = format.label_bytes + kPixels;
  if (size == 0 || size % record != 0) {
    throw DataError(Text(path.string(), ": has ", size, " bytes; it must be a positive multiple of ", record,
                         " (one record), and ", size % record, " bytes are left over. The file is ",
                         size == 0 ? "empty" : "cut short or of another data set", "; download it again"));
  }
  const int64_t count = size / record;
  Split split{.images = torch::empty({count, 3, kSide, kSide}, torch::kUInt8),
              .labels = torch::empty({count}, torch::kInt64)};
  uint8_t* images = split.images.mutable_data_ptr<uint8_t>();
  int64_t* labels = split.labels.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    const std::byte* start = file.bytes().data() + i * record;
    labels[i] = std::to_integer<int64_t>(start[format.label_bytes - 1]);
    if (const auto coarse = std::to_integer<int64_t>(start[0]); format.label_bytes == 2 && coarse >= kCoarseClasses) {
      throw DataError(Text(path.string(), ": coarse label ", i, " is ", coarse, "; it must lie in [0, ", kCoarseClasses,
                           "). The file is damaged or of another data set"));
    }
    std::memcpy(images + i * kPixels, start + format.label_bytes, kPixels);
  }
  ValidateSplit(split, format.classes, path.string());
  return split;
}

bool IsTrainingBatch(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with("data_batch_") && name.ends_with(".bin") && std::filesystem::is_regular_file(path);
}

/// In order of their number: data_batch_10.bin comes after data_batch_9.bin.
std::vector<std::filesystem::path> TrainingBatches(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (IsTrainingBatch(entry.path())) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    const std::string x = a.filename().string(), y = b.filename().string();
    return x.size() != y.size() ? x.size() < y.size() : x < y;
  });
  if (found.empty()) {
    throw DataError(Text("cifar10: no training file in ", folder.string(),
                         "; looked for data_batch_*.bin (official: data_batch_1.bin to data_batch_5.bin)"));
  }
  return found;
}

}  // namespace

Dataset LoadCifar10(const DataOptions& options) {
  const std::filesystem::path test =
      FindFile(options.path, {"", "cifar-10-batches-bin"}, {"test_batch.bin"}, "cifar10");
  std::vector<torch::Tensor> images, labels;
  for (const std::filesystem::path& path : TrainingBatches(test.parent_path())) {
    const Split part = ReadRecords(path, kCifar10);
    images.push_back(part.images);
    labels.push_back(part.labels);
  }
  Dataset dataset;
  dataset.classes = kCifar10.classes;
  dataset.train = {.images = torch::cat(images), .labels = torch::cat(labels)};
  dataset.test = ReadRecords(test, kCifar10);
  return dataset;
}

Dataset LoadCifar100(const DataOptions& options) {
  const auto find = [&](const std::string& name) {
    return FindFile(options.path, {"", "cifar-100-binary"}, {name}, "cifar100");
  };
  const std::filesystem::path train = find("train.bin"), test = find("test.bin");
  Dataset dataset;
  dataset.classes = kCifar100.classes;
  dataset.train = ReadRecords(train, kCifar100);
  dataset.test = ReadRecords(test, kCifar100);
  return dataset;
}

}  // namespace basin::data
