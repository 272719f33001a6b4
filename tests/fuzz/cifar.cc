// A file of CIFAR-10 or CIFAR-100 records beside a good one: refused, or a data set with labels in range. The first byte of an input
// chooses the data set and the file.
#include "base/error.h"
#include "data/cifar.h"
#include "data/dataset.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const basin::fuzz::InputFolder folder;
  if (size == 0) return 0;
  const bool hundred = data[0] % 2 == 1, test = data[0] / 2 % 2 == 1;
  const char* const names[] = {hundred ? "train.bin" : "data_batch_1.bin", hundred ? "test.bin" : "test_batch.bin"};
  folder.Write(names[!test], std::string(hundred ? 3074 : 3073, '\x01'));
  folder.Write(names[test], basin::fuzz::Text(data + 1, size - 1));
  try {
    const basin::data::DataOptions options{.name = hundred ? "cifar100" : "cifar10", .path = folder.path()};
    const basin::data::Dataset dataset = hundred ? basin::data::LoadCifar100(options) : basin::data::LoadCifar10(options);
    for (const basin::data::Split* split : {&dataset.train, &dataset.test}) {
      basin::fuzz::Require(split->images.size(0) == split->labels.size(0));
      basin::fuzz::Require(split->labels.max().item<int64_t>() < (hundred ? 100 : 10));
    }
  } catch (const basin::DataError&) {
  }
  return 0;
}
