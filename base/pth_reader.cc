#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/pth.h"
#include "base/pth_types.h"

namespace basin::base {
namespace {

struct Value;
using List = std::vector<Value>;

struct Nothing {};
struct Mark {};
struct Global {
  std::string name;  // module.name
};
struct Storage {
  const PthType* type = nullptr;  // null: untyped
  std::string key;
  int64_t length = 0;  // elements; bytes when untyped
};
struct Tensor {
  Storage storage;
  const PthType* type = nullptr;
  int64_t offset = 0;  // elements
  std::vector<int64_t> shape, strides;
};
struct Dict {
  /// Of other values than tensors only their names are kept, so no dict holds itself.
  std::vector<std::pair<std::string, std::optional<Tensor>>> items;
};

/// What may stand on the unpickler's stack. Dicts are shared, since the memo and the stack may hold the same one.
struct Value {
  std::variant<Nothing, Mark, bool, int64_t, std::string, Global, Storage, Tensor, std::shared_ptr<List>, std::shared_ptr<Dict>> is;
};

/// The stack machine of pickle, with the few opcodes and globals of a state dict.
class Unpickler {
 public:
  Unpickler(std::span<const std::byte> code, const std::filesystem::path& path) : code_(code), path_(path) {}

  std::shared_ptr<Dict> Run() {
    while (true) {
      place_ = at_;
      const auto opcode = static_cast<char>(Byte());
      if (opcode == '.') break;
      Step(opcode);
      if (stack_.size() > kMostValues || memo_.size() > kMostValues) Refuse("it is too long");
    }
    const Value result = Pop();
    const auto* dict = std::get_if<std::shared_ptr<Dict>>(&result.is);
    if (dict == nullptr) Refuse("it holds no dict; save model.state_dict()");
    return *dict;
  }

 private:
  static constexpr size_t kMostValues = 10'000'000;

  [[noreturn]] void Refuse(const std::string& why) const {
    throw DataError(Text(path_.string(), ": data.pkl, byte ", place_, ": ", why, ". Only dicts of names and tensors are read"));
  }

  void Step(char opcode) {
    switch (opcode) {
      case '\x80': if (Byte() != 2) Refuse("a pickle of another protocol than 2"); return;
      case '(': return Push({Mark{}});
      case ')': return Push({std::make_shared<List>()});
      case '}': return Push({std::make_shared<Dict>()});
      case 'N': return Push({Nothing{}});
      case '\x88': return Push({true});
      case '\x89': return Push({false});
      case 'K': return Push({static_cast<int64_t>(Unsigned(1))});
      case 'M': return Push({static_cast<int64_t>(Unsigned(2))});
      case 'J': return Push({static_cast<int64_t>(static_cast<int32_t>(Unsigned(4)))});
      case '\x8a': return Push({Long(static_cast<size_t>(Unsigned(1)))});
      case 'X': return Push({Text8(Unsigned(4))});
      case 'c': return PushGlobal();
      case 'q': memo_[Unsigned(1)] = Top(); return;
      case 'r': memo_[Unsigned(4)] = Top(); return;
      case 'h': return Recall(Unsigned(1));
      case 'j': return Recall(Unsigned(4));
      case '\x85': return PushTuple(1);
      case '\x86': return PushTuple(2);
      case '\x87': return PushTuple(3);
      case 't': return Push({std::make_shared<List>(PopToMark())});
      case 'Q': return Push({StorageOf(PopList())});
      case 'R': return Reduce();
      case 's': return SetItems(PopPair());
      case 'u': return SetItems(PopToMark());
      case 'b': Pop(); return;  // attributes of the dict (_metadata): nothing that a file of tensors has a place for
      default: Refuse(Text("opcode ", static_cast<int>(static_cast<unsigned char>(opcode))));
    }
  }

  uint8_t Byte() {
    if (at_ >= code_.size()) Refuse("it is cut short");
    return static_cast<uint8_t>(code_[at_++]);
  }
  uint64_t Unsigned(int bytes) {
    uint64_t value = 0;
    for (int k = 0; k < bytes; ++k) value |= static_cast<uint64_t>(Byte()) << (8 * k);
    return value;
  }
  int64_t Long(size_t bytes) {
    if (bytes > 8) Refuse("a whole number of more than 64 bits");
    uint64_t value = Unsigned(static_cast<int>(bytes));
    if (bytes > 0 && bytes < 8 && (value >> (8 * bytes - 1)) != 0) value |= ~uint64_t{0} << (8 * bytes);  // its sign
    return static_cast<int64_t>(value);
  }
  std::string Text8(uint64_t length) {
    if (length > code_.size() - at_) Refuse("it is cut short");
    std::string text(reinterpret_cast<const char*>(code_.data()) + at_, length);
    at_ += length;
    return text;
  }
  std::string Line() {
    std::string line;
    for (char c = static_cast<char>(Byte()); c != '\n'; c = static_cast<char>(Byte())) line += c;
    return line;
  }

  void Push(Value value) { stack_.push_back(std::move(value)); }
  Value& Top() {
    if (stack_.empty()) Refuse("an opcode finds too few values");
    return stack_.back();
  }
  Value Pop() {
    Value value = std::move(Top());
    stack_.pop_back();
    return value;
  }
  List PopToMark() {
    List values;
    while (!std::holds_alternative<Mark>(Top().is)) values.push_back(Pop());
    Pop();
    std::ranges::reverse(values);
    return values;
  }
  List PopPair() {
    Value value = Pop(), key = Pop();
    return {std::move(key), std::move(value)};
  }
  List PopList() { return *Expect<std::shared_ptr<List>>(Pop(), "a tuple"); }
  void PushTuple(size_t count) {
    auto list = std::make_shared<List>();
    for (size_t k = 0; k < count; ++k) list->push_back(Pop());
    std::ranges::reverse(*list);
    Push({std::move(list)});
  }
  void Recall(uint64_t number) {
    const auto found = memo_.find(number);
    if (found == memo_.end()) Refuse("it recalls what it has not kept");
    Push(found->second);
  }

  template <typename T>
  T Expect(const Value& value, const char* what) const {
    const T* found = std::get_if<T>(&value.is);
    if (found == nullptr) Refuse(Text("something else where ", what, " is expected"));
    return *found;
  }
  std::vector<int64_t> Integers(const Value& value) const {
    std::vector<int64_t> numbers;
    for (const Value& item : *Expect<std::shared_ptr<List>>(value, "a tuple of whole numbers"))
      numbers.push_back(Expect<int64_t>(item, "a whole number"));
    return numbers;
  }

  void PushGlobal() {
    const std::string module = Line(), name = Line();
    Global global{module + "." + name};
    const bool known = global.name == "collections.OrderedDict" || global.name == "torch._utils._rebuild_tensor_v2" ||
                       global.name == "torch._utils._rebuild_tensor_v3" || global.name == "torch._utils._rebuild_parameter" ||
                       global.name == "torch.storage.UntypedStorage" || FindType(global.name) != nullptr;
    if (!known) Refuse(Text("it wants ", global.name, ", which no dict of tensors needs"));
    Push({std::move(global)});
  }

  /// By its storage class or its name, "torch.FloatStorage" or "torch.float32".
  static const PthType* FindType(const std::string& name) {
    if (!name.starts_with("torch.")) return nullptr;
    const std::string_view last = std::string_view(name).substr(6);
    const auto found = std::ranges::find_if(
        kPthTypes, [&](const PthType& type) { return last == type.name || (!type.storage.empty() && last == type.storage); });
    return found == kPthTypes.end() ? nullptr : &*found;
  }

  /// ('storage', class, key, device, length)
  Storage StorageOf(const List& id) const {
    if (id.size() != 5 || Expect<std::string>(id[0], "'storage'") != "storage") Refuse("a persistent id that is no storage");
    return {.type = FindType(Expect<Global>(id[1], "a storage class").name), .key = Expect<std::string>(id[2], "a storage's key"),
            .length = Expect<int64_t>(id[4], "a storage's length")};
  }

  void Reduce() {
    const List arguments = PopList();
    const std::string function = Expect<Global>(Pop(), "a function").name;
    if (function == "collections.OrderedDict") {
      if (!arguments.empty()) Refuse("an OrderedDict that is not made empty");
      return Push({std::make_shared<Dict>()});
    }
    if (function == "torch._utils._rebuild_parameter") {  // (tensor, requires_grad, hooks)
      if (arguments.empty()) Refuse("a parameter without a tensor");
      return Push({Expect<Tensor>(arguments[0], "a tensor")});
    }
    const bool typed = function == "torch._utils._rebuild_tensor_v2", untyped = function == "torch._utils._rebuild_tensor_v3";
    if ((!typed && !untyped) || arguments.size() < (typed ? 6 : 7))
      Refuse(Text("a call of ", function, " with ", arguments.size(), " arguments"));
    Tensor tensor{.storage = Expect<Storage>(arguments[0], "a storage"), .offset = Expect<int64_t>(arguments[1], "an offset"),
                  .shape = Integers(arguments[2]), .strides = Integers(arguments[3])};
    tensor.type = typed ? tensor.storage.type : FindType(Expect<Global>(arguments[6], "a type").name);
    if (tensor.type == nullptr) Refuse("a tensor of a type that is not known here");
    Push({std::move(tensor)});
  }

  void SetItems(const List& pairs) {
    if (pairs.size() % 2 != 0) Refuse("a key without a value");
    const auto dict = Expect<std::shared_ptr<Dict>>(Top(), "a dict");
    for (size_t k = 0; k < pairs.size(); k += 2) {
      const Tensor* tensor = std::get_if<Tensor>(&pairs[k + 1].is);
      dict->items.emplace_back(Expect<std::string>(pairs[k], "a name"), tensor != nullptr ? std::optional(*tensor) : std::nullopt);
    }
  }

  std::span<const std::byte> code_;
  const std::filesystem::path& path_;
  size_t at_ = 0, place_ = 0;
  std::vector<Value> stack_;
  std::map<uint64_t, Value> memo_;
};

int64_t ElementBytes(const PthType& type) { return DTypeBits(type.dtype) / 8; }

/// Number of elements; nothing when it does not fit.
std::optional<int64_t> Product(const std::vector<int64_t>& shape) {
  int64_t product = 1;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(product, size, &product)) return std::nullopt;
  }
  return product;
}

/// The largest element index that is touched, with offset; nothing when it does not fit or a stride is negative.
std::optional<int64_t> LastElement(const Tensor& tensor) {
  int64_t last = tensor.offset;
  for (size_t d = 0; d < tensor.shape.size(); ++d) {
    int64_t reach = 0;
    if (tensor.strides[d] < 0 || __builtin_mul_overflow(tensor.shape[d] - 1, tensor.strides[d], &reach) ||
        __builtin_add_overflow(last, reach, &last))
      return std::nullopt;
  }
  return last;
}

bool IsRowMajor(const Tensor& tensor) {
  int64_t expected = 1;
  for (size_t d = tensor.shape.size(); d-- > 0;) {
    if (tensor.shape[d] != 1 && tensor.strides[d] != expected) return false;
    expected *= tensor.shape[d];
  }
  return true;
}

/// Row-major copy of a tensor with other strides.
std::vector<std::byte> Gathered(const Tensor& tensor, std::span<const std::byte> storage, int64_t count) {
  const auto size = static_cast<size_t>(ElementBytes(*tensor.type));
  std::vector<std::byte> copy(static_cast<size_t>(count) * size);
  std::vector<int64_t> index(tensor.shape.size(), 0);
  int64_t at = tensor.offset;
  for (int64_t k = 0; k < count; ++k) {
    std::memcpy(copy.data() + static_cast<size_t>(k) * size, storage.data() + static_cast<size_t>(at) * size, size);
    for (size_t d = index.size(); d-- > 0;) {
      at += tensor.strides[d];
      if (++index[d] < tensor.shape[d]) break;
      at -= tensor.strides[d] * tensor.shape[d];
      index[d] = 0;
    }
  }
  return copy;
}

/// The folder that all entries are in: what stands before "data.pkl".
std::string RootOf(const ZipReader& zip) {
  constexpr std::string_view kPickle = "data.pkl";
  for (const auto& [name, bytes] : zip.entries()) {
    const size_t slash = name.find('/');
    if (slash != std::string::npos && name.substr(slash + 1) == kPickle) return name.substr(0, slash + 1);
  }
  throw DataError(Text(zip.path().string(), ": holds no data.pkl, so torch.save did not write it"));
}

}  // namespace

PthReader::PthReader(const std::filesystem::path& path) : zip_(path) {
  const std::string root = RootOf(zip_);
  if (const auto order = zip_.entries().find(root + "byteorder"); order != zip_.entries().end()) {
    constexpr std::string_view kLittle = "little";
    if (!std::ranges::equal(order->second, std::as_bytes(std::span(kLittle))))
      throw DataError(path.string() + ": its numbers are big-endian; only little-endian ones are read");
  }
  const auto dict = Unpickler(zip_.entries().at(root + "data.pkl"), path).Run();
  std::set<std::string> names;
  // A stride of 0 repeats elements, so a short file could ask for large copies.
  constexpr int64_t kMostRepeated = int64_t{1} << 24;
  int64_t repeated = 0;
  for (const auto& item : dict->items) {
    const auto& [name, tensor] = item;
    const auto fail = [&](const std::string& why) { throw DataError(Text(path.string(), ": ", item.first, why)); };
    if (!tensor) fail(" is no tensor; only a dict of tensors is read (save model.state_dict())");
    if (!names.insert(name).second) fail(" is there twice");
    const auto entry = zip_.entries().find(root + "data/" + tensor->storage.key);
    if (entry == zip_.entries().end()) fail(" is in storage " + tensor->storage.key + ", which is not in the file");
    const std::optional<int64_t> count = Product(tensor->shape);
    const int64_t size = ElementBytes(*tensor->type);
    const auto elements = static_cast<int64_t>(entry->second.size()) / size;
    if (!count || tensor->shape.size() != tensor->strides.size() || tensor->offset < 0) fail(" has an impossible shape");
    const std::optional<int64_t> last = *count > 0 ? LastElement(*tensor) : 0;
    if (*count > 0 && (!last || *last >= elements)) fail(Text(" leaves its storage of ", elements, " elements"));
    if (*count > elements) repeated += *count;
    if (repeated > kMostRepeated) fail(Text(" repeats its elements (torch.Tensor.expand) beyond ", kMostRepeated, "; save a copy: .contiguous()"));
    TensorView view{.name = name, .dtype = tensor->type->dtype, .shape = tensor->shape};
    if (*count > 0 && IsRowMajor(*tensor)) {
      view.bytes = entry->second.subspan(static_cast<size_t>(tensor->offset * size), static_cast<size_t>(*count * size));
    } else if (*count > 0) {
      view.bytes = copies_.emplace_back(Gathered(*tensor, entry->second, *count));
    }
    tensors_.push_back(std::move(view));
  }
}

}  // namespace basin::base
