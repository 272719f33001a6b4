#include "data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>

#include "base/error.h"
#include "data/find_file.h"

namespace basin::data {
namespace {

constexpr uint32_t kImagesMagic = 0x00000803;  // unsigned bytes, three dimensions
constexpr uint32_t kLabelsMagic = 0x00000801;  // unsigned bytes, one dimension
constexpr int64_t kClasses = 10;
constexpr uint32_t kMaxSide = 4096;

/// The whole file; zlib passes a file that is not gzip through as it is.
std::string ReadUnzipped(const std::filesystem::path& path) {
  errno = 0;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose_r);
  if (file == nullptr) {
    throw DataError(Text(path.string(), ": cannot be opened: ", std::generic_category().message(errno)));
  }
  gzbuffer(file.get(), 1 << 18);
  std::string content;
  constexpr unsigned kChunk = 1 << 20;
  for (;;) {
    const size_t size = content.size();
    content.resize(size + kChunk);
    const int read = gzread(file.get(), content.data() + size, kChunk);
    content.resize(size + static_cast<size_t>(std::max(read, 0)));
    if (read <= 0) break;
  }
  int code = Z_OK;
  const char* message = gzerror(file.get(), &code);  // a cut stream is no error of the last read, but remembered here
  if (code != Z_OK && code != Z_STREAM_END) {
    throw DataError(Text(path.string(), ": the gzip stream is ", code == Z_BUF_ERROR ? "cut short" : "damaged", " (",
                         message, ") after ", content.size(), " unzipped bytes; download the file again"));
  }
  return content;
}

uint32_t BigEndian32(const std::string& content, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(content[offset + i]);
  return value;
}

/// Bytes of an IDX file as uint8 [count] or [count, 1, rows, columns].
torch::Tensor ReadIdx(const std::filesystem::path& path, uint32_t magic) {
  const std::string content = ReadUnzipped(path);
  const std::string where = path.string();
  const size_t dimensions = magic & 0xff, header = 4 + 4 * dimensions;
  if (content.size() < header) {
    throw DataError(Text(where, ": has ", content.size(), " bytes (unzipped); its header alone has ", header,
                         ". The file is empty or cut short; download it again"));
  }
  if (const uint32_t found = BigEndian32(content, 0); found != magic) {
    throw DataError(Text(where, ": starts with the number ", found, "; an IDX file of ",
                         magic == kImagesMagic ? "images" : "labels", " starts with ", magic,
                         ". It is another kind of file under this name"));
  }
  std::vector<int64_t> shape;
  uint64_t expected = 1;
  for (size_t i = 0; i < dimensions; ++i) {
    const uint32_t extent = BigEndian32(content, 4 + 4 * i);
    if (extent == 0 || (i > 0 && extent > kMaxSide)) {
      throw DataError(Text(where, ": dimension ", i, " of ", dimensions, " is ", extent, "; it must be at least 1",
                           i > 0 ? Text(" and at most ", kMaxSide) : "",
                           ". The header is damaged; download the file again"));
    }
    expected *= extent;  // at most 2^32 x 2^24
    shape.push_back(extent);
  }
  if (content.size() - header != expected) {
    throw DataError(Text(where, ": holds ", content.size() - header, " bytes of data; its header announces ", expected,
                         " (", shape[0], " items). The file is cut short or damaged; download it again"));
  }
  if (dimensions == 3) shape.insert(shape.begin() + 1, 1);
  torch::Tensor values = torch::empty(shape, torch::kUInt8);
  std::memcpy(values.mutable_data_ptr<uint8_t>(), content.data() + header, expected);
  return values;
}

struct Names {
  std::string name;       // as in data.name
  std::string subfolder;  // where torchvision keeps the files
};

Split LoadSplit(const DataOptions& options, const Names& names, const std::string& prefix) {
  const auto find = [&](const std::string& file) {
    return FindFile(options.path, {"", names.subfolder}, {file, file + ".gz"}, names.name);
  };
  const std::filesystem::path images = find(prefix + "-images-idx3-ubyte");
  const std::filesystem::path labels = find(prefix + "-labels-idx1-ubyte");
  Split split{.images = ReadIdx(images, kImagesMagic), .labels = ReadIdx(labels, kLabelsMagic).to(torch::kInt64)};
  if (split.images.size(0) != split.labels.size(0)) {
    throw DataError(Text(images.string(), ": holds ", split.images.size(0), " images, but ", labels.string(), " holds ",
                         split.labels.size(0), " labels; the two files must belong together"));
  }
  ValidateSplit(split, kClasses, labels.string());
  return split;
}

Dataset Load(const DataOptions& options, const Names& names) {
  Dataset dataset;
  dataset.classes = kClasses;
  dataset.train = LoadSplit(options, names, "train");
  dataset.test = LoadSplit(options, names, "t10k");
  return dataset;
}

}  // namespace

Dataset LoadMnist(const DataOptions& options) { return Load(options, {"mnist", "MNIST/raw"}); }

Dataset LoadFashionMnist(const DataOptions& options) { return Load(options, {"fashion-mnist", "FashionMNIST/raw"}); }

}  // namespace basin::data
