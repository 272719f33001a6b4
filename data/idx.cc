#include "data/idx.h"

#include <zlib.h>

#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "data/find_file.h"

namespace basin::data {
namespace {

constexpr uint32_t kImagesMagic = 0x00000803;  // unsigned bytes, three dimensions
constexpr uint32_t kLabelsMagic = 0x00000801;  // unsigned bytes, one dimension
constexpr int64_t kClasses = 10;
constexpr uint32_t kMaxSide = 4096;

/// The content of a gzip file (RFC 1952: members up to the last byte). Not by gzread, which passes over whatever follows
/// the first member.
std::string Unzip(std::string packed, const std::string& where) {
  if (packed.size() > std::numeric_limits<uInt>::max()) throw DataError(Text(where, ": is larger than 4 GiB; unzip it first"));
  z_stream stream{};
  BASIN_CHECK(inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK, "zlib does not start");  // 16: gzip, with its checksum
  const std::unique_ptr<z_stream, int (*)(z_streamp)> owner(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string content;
  constexpr uInt kChunk = 1 << 20;
  int code = Z_OK;
  while (code == Z_OK) {
    const size_t size = content.size();
    content.resize(size + kChunk);
    stream.next_out = reinterpret_cast<Bytef*>(content.data() + size);
    stream.avail_out = kChunk;
    code = inflate(&stream, Z_NO_FLUSH);
    content.resize(size + kChunk - stream.avail_out);
    if (code == Z_STREAM_END && stream.avail_in > 0) code = inflateReset(&stream);  // the next member
  }
  if (code != Z_STREAM_END) {
    throw DataError(Text(where, ": the gzip stream is ", code == Z_BUF_ERROR ? "cut short" : "damaged",
                         stream.msg == nullptr ? "" : Text(" (", stream.msg, ")"), " after ", content.size(),
                         " unzipped bytes; download the file again"));
  }
  return content;
}

std::string ReadUnzipped(const std::filesystem::path& path) {
  std::string content = base::ReadFile(path);
  return content.starts_with("\x1f\x8b") ? Unzip(std::move(content), path.string()) : content;
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
