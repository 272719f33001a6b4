#include "base/pth.h"

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/pth_types.h"

namespace basin::base {
namespace {

/// Pickle's protocol 2, as far as a state dict needs it (Python's pickletools.py describes the opcodes).
class Pickle {
 public:
  Pickle& Op(std::string_view opcode) {
    text_ += opcode;
    return *this;
  }
  Pickle& Global(std::string_view module, std::string_view name) { return Op("c").Op(module).Op("\n").Op(name).Op("\n"); }
  Pickle& String(std::string_view utf8) { return Op("X").LittleEndian(utf8.size(), 4).Op(utf8); }
  Pickle& Integer(int64_t value) {
    if (value >= 0 && value < 256) return Op("K").LittleEndian(static_cast<uint64_t>(value), 1);
    if (value >= 0 && value <= INT32_MAX) return Op("J").LittleEndian(static_cast<uint64_t>(value), 4);
    return Op("\x8a").LittleEndian(8, 1).LittleEndian(static_cast<uint64_t>(value), 8);  // LONG1 of eight bytes
  }
  Pickle& Tuple(const std::vector<int64_t>& values) {
    Op("(");
    for (const int64_t value : values) Integer(value);
    return Op("t");
  }
  /// OrderedDict()
  Pickle& EmptyOrderedDict() { return Global("collections", "OrderedDict").Op(")R"); }
  std::string Take() { return std::move(text_); }

 private:
  Pickle& LittleEndian(uint64_t value, int bytes) {
    for (int k = 0; k < bytes; ++k) text_ += static_cast<char>(value >> (8 * k));
    return *this;
  }
  std::string text_;
};

const PthType& TypeOf(const TensorView& tensor) {
  const auto found = std::ranges::find(kPthTypes, tensor.dtype, &PthType::dtype);
  if (found == kPthTypes.end())
    throw DataError(Text("tensor ", tensor.name, " is ", DTypeName(tensor.dtype), ", a type that PyTorch's format does not have"));
  return *found;
}

std::vector<int64_t> RowMajorStrides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * std::max<int64_t>(shape[d], 1);
  return strides;
}

/// rebuild(storage, offset 0, shape, strides, requires_grad False, hooks OrderedDict()[, type])
void AddTensor(Pickle& pickle, const TensorView& tensor, size_t number) {
  const PthType& type = TypeOf(tensor);
  const bool untyped = type.storage.empty();
  const auto length = untyped ? static_cast<int64_t>(tensor.bytes.size()) : tensor.num_elements();
  pickle.String(tensor.name).Global("torch._utils", untyped ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2").Op("((").String("storage");
  pickle.Global(untyped ? "torch.storage" : "torch", untyped ? "UntypedStorage" : type.storage);
  pickle.String(std::to_string(number)).String("cpu").Integer(length).Op("tQ").Integer(0);
  pickle.Tuple(tensor.shape).Tuple(RowMajorStrides(tensor.shape)).Op("\x89").EmptyOrderedDict();
  if (untyped) pickle.Global("torch", type.name);
  pickle.Op("tR");
}

}  // namespace

std::string StateDictPickle(const std::vector<TensorView>& tensors) {
  Pickle pickle;
  pickle.Op("\x80\x02").EmptyOrderedDict().Op("(");
  for (size_t k = 0; k < tensors.size(); ++k) AddTensor(pickle, tensors[k], k);
  return pickle.Op("u.").Take();
}

FileDigest WritePth(const std::filesystem::path& path, const std::vector<TensorView>& tensors) {
  const std::string pickle = StateDictPickle(tensors);  // refuses what cannot be written before there is a file
  const std::string root = "archive/";
  const auto text = [](std::string_view bytes) { return std::as_bytes(std::span(bytes)); };
  ZipWriter zip(path);
  zip.Add(root + "data.pkl", text(pickle));
  // No .format_version: with it, readers may compute where torch.save would have put each entry instead of looking it up.
  zip.Add(root + "byteorder", text("little"));
  for (size_t k = 0; k < tensors.size(); ++k) zip.Add(root + "data/" + std::to_string(k), tensors[k].bytes);
  zip.Add(root + "version", text("3\n"));
  return zip.Commit();
}

bool IsZip(const std::filesystem::path& path) {
  const MappedFile file(path);
  constexpr std::string_view kStart = "PK\x03\x04";
  return file.bytes().size() >= kStart.size() && std::ranges::equal(file.bytes().first(kStart.size()), std::as_bytes(std::span(kStart)));
}

}  // namespace basin::base
