// A safetensors file: refused, or every byte of every tensor can be read.
#include "base/error.h"
#include "base/files.h"
#include "base/safetensors.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const basin::fuzz::InputFolder folder;
  const auto path = folder.Write("model.safetensors", basin::fuzz::Text(data, size));
  try {
    const basin::base::SafetensorsReader reader(path);
    for (const basin::base::TensorView& tensor : reader.tensors()) {
      basin::base::Hash64(tensor.bytes);
      basin::fuzz::Require(reader.Find(tensor.name) == &tensor);
    }
  } catch (const basin::DataError&) {
  }
  return 0;
}
