// A file of torch.save: refused, or every byte of every tensor can be read. The first byte of the input chooses: a whole file, or (odd)
// only the pickle in it, since hardly any mutation of a whole file has the right checksum.
#include "base/error.h"
#include "base/files.h"
#include "base/pth.h"
#include "tests/fuzz/target.h"

namespace {

std::filesystem::path Pack(const std::filesystem::path& path, std::string_view pickle) {
  static const std::string storage(64, '\1'), order = "little";
  const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };
  basin::base::ZipWriter zip(path);
  zip.Add("net/data.pkl", bytes(pickle));
  zip.Add("net/byteorder", bytes(order));
  zip.Add("net/data/0", bytes(storage));
  zip.Add("net/data/1", bytes(storage));
  zip.Commit();
  return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const basin::fuzz::InputFolder folder;
  if (size == 0) return 0;
  const std::string_view rest = basin::fuzz::Text(data + 1, size - 1);
  try {
    const auto path = data[0] % 2 == 0 ? folder.Write("net.pth", rest) : Pack(folder.path() / "net.pth", rest);
    const basin::base::PthReader reader(path);
    for (const basin::base::TensorView& tensor : reader.tensors()) basin::base::Hash64(tensor.bytes);
  } catch (const basin::DataError&) {
  }
  return 0;
}
