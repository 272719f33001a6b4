// One of MNIST's four files, plain or gzip, beside three good ones: refused, or a data set that holds what it says. The first byte
// of an input chooses the file and its form.
#include "base/error.h"
#include "data/dataset.h"
#include "data/idx.h"
#include "tests/fuzz/target.h"

namespace {

using basin::fuzz::InputFolder;

constexpr const char* kNames[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                  "t10k-labels-idx1-ubyte"};

/// Two pictures of 2 x 3, or their labels.
std::string GoodFile(int which) {
  const std::string counts("\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x03", 12);
  if (which % 2 == 0) return std::string("\x00\x00\x08\x03", 4) + counts + std::string(12, '\x07');
  return std::string("\x00\x00\x08\x01\x00\x00\x00\x02\x04\x05", 10);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const InputFolder folder;
  if (size == 0) return 0;
  const int which = data[0] % 4;
  const bool gzip = data[0] / 4 % 2 == 1;
  for (int k = 0; k < 4; ++k) {
    std::filesystem::remove(folder.path() / kNames[k]);
    std::filesystem::remove(folder.path() / (std::string(kNames[k]) + ".gz"));
    if (k != which) folder.Write(kNames[k], GoodFile(k));
  }
  folder.Write(std::string(kNames[which]) + (gzip ? ".gz" : ""), basin::fuzz::Text(data + 1, size - 1));
  try {
    const basin::data::Dataset dataset = basin::data::LoadMnist({.name = "mnist", .path = folder.path()});
    for (const basin::data::Split* split : {&dataset.train, &dataset.test}) {
      basin::fuzz::Require(split->images.size(0) == split->labels.size(0));
      basin::fuzz::Require(split->labels.min().item<int64_t>() >= 0 && split->labels.max().item<int64_t>() < 10);
    }
  } catch (const basin::DataError&) {
  }
  return 0;
}
