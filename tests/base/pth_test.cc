#include "base/pth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace basin::base {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string Text8(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// With its zeros.
template <size_t size>
std::string Literal(const char (&text)[size]) {
  return {text, size - 1};
}

// Written out by hand from what Python's pickletools.dis says of a file by torch.save, without the memo.
TEST(Pth, ThePickleOfOneTensorIsAsPythonWritesIt) {
  const std::vector<float> values(6);
  const std::string found = StateDictPickle({{"w", DType::kF32, {2, 3}, std::as_bytes(std::span(values))}});
  const std::string wanted =
      "\x80\x02" "ccollections\nOrderedDict\n)R("
      + Literal("X\x01\0\0\0w") + "ctorch._utils\n_rebuild_tensor_v2\n((" + Literal("X\x07\0\0\0storage") + "ctorch\nFloatStorage\n"
      + Literal("X\x01\0\0\0" "0") + Literal("X\x03\0\0\0" "cpu") + "K\x06tQ" + Literal("K\0") + "(K\x02K\x03t(K\x03K\x01t\x89"
      + "ccollections\nOrderedDict\n)RtRu.";
  EXPECT_EQ(found, wanted);
}

class PthFile : public testing::Test {
 protected:
  PthFile() : path_(folder_.path() / "a.pth") {}
  /// An archive with this pickle and storage 0 of these bytes.
  void Write(const std::string& pickle, const std::string& storage = std::string(24, '\1'), const std::string& order = "little") const {
    ZipWriter zip(path_);
    zip.Add("any/data.pkl", Bytes(pickle));
    zip.Add("any/byteorder", Bytes(order));
    zip.Add("any/data/0", Bytes(storage));
    zip.Commit();
  }
  void ExpectRefused(const std::string& pickle, const std::string& why) const {
    Write(pickle);
    EXPECT_THAT([&] { PthReader reader(path_); }, ThrowsMessage<DataError>(HasSubstr(why)));
  }
  /// {"w": tensor of storage 0 of `length` floats} with these offset, shape and strides as opcodes.
  static std::string OneTensor(const std::string& place, const std::string& length = "K\x06") {
    return "\x80\x02}(" + Literal("X\x01\0\0\0w") + "ctorch._utils\n_rebuild_tensor_v2\n((" + Literal("X\x07\0\0\0storage") +
           "ctorch\nFloatStorage\n" +
           Literal(
               "X\x01\0\0\0"
               "0") +
           Literal(
               "X\x03\0\0\0"
               "cpu") +
           length + "tQ" + place + "\x89" + "ccollections\nOrderedDict\n)RtRu.";
  }
  TemporaryFolder folder_;
  std::filesystem::path path_;
};

TEST_F(PthFile, ReadsEveryTypeThatItWrites) {
  const std::string data(16, '\x3c');
  std::vector<TensorView> tensors;
  for (const DType type :
       {DType::kF32, DType::kF64, DType::kF16, DType::kBF16, DType::kI64, DType::kI32, DType::kI16, DType::kI8, DType::kU8, DType::kBool,
        DType::kC64, DType::kU16, DType::kU32, DType::kU64, DType::kF8E4M3, DType::kF8E5M2, DType::kF8E8M0}) {
    const int64_t elements = 16 * 8 / DTypeBits(type);
    tensors.push_back({"layer." + std::string(DTypeName(type)), type, {elements}, Bytes(data)});
  }
  tensors.push_back({"scalar", DType::kI64, {}, Bytes(data).first(8)});
  tensors.push_back({"empty", DType::kF32, {0, 3}, {}});
  WritePth(path_, tensors);
  const PthReader reader(path_);
  ASSERT_EQ(reader.tensors().size(), tensors.size());
  for (size_t k = 0; k < tensors.size(); ++k) {
    EXPECT_EQ(reader.tensors()[k].name, tensors[k].name);
    EXPECT_EQ(reader.tensors()[k].dtype, tensors[k].dtype) << tensors[k].name;
    EXPECT_EQ(reader.tensors()[k].shape, tensors[k].shape) << tensors[k].name;
    EXPECT_EQ(Text8(reader.tensors()[k].bytes), Text8(tensors[k].bytes)) << tensors[k].name;
  }
}

TEST_F(PthFile, ATypeThatPyTorchDoesNotHaveIsRefusedBeforeThereIsAFile) {
  EXPECT_THAT([&] { WritePth(path_, {{"w", DType::kF4, {2}, Bytes("x")}}); }, ThrowsMessage<DataError>(HasSubstr("tensor w is F4")));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(PthFile, OtherStridesBecomeRowMajor) {
  std::string storage;
  for (const float value : {0.F, 1.F, 2.F, 3.F, 4.F, 5.F}) storage.append(reinterpret_cast<const char*>(&value), sizeof value);
  Write(OneTensor(Literal("K\0(K\x02K\x03t(K\x01K\x02t")), storage);  // a [3, 2] transposed
  const PthReader reader(path_);
  const auto* values = reinterpret_cast<const float*>(reader.tensors()[0].bytes.data());
  EXPECT_THAT(std::vector<float>(values, values + 6), ElementsAre(0, 2, 4, 1, 3, 5));
}

TEST_F(PthFile, APartOfAStorageIsThatPart) {
  Write(OneTensor("K\x02(K\x03t(K\x01t"), "aaaabbbbccccddddeeeeffff");
  EXPECT_EQ(Text8(PthReader(path_).tensors()[0].bytes), "ccccddddeeee");
}

TEST_F(PthFile, ARepeatedElementIsCopiedWithinReason) {
  Write(OneTensor(Literal("K\x02(K\x07t(K\0t")), "aaaabbbbccccddddeeeeffff");  // the third, seven times: torch.Tensor.expand
  EXPECT_EQ(Text8(PthReader(path_).tensors()[0].bytes), "cccccccccccccccccccccccccccc");
  ExpectRefused(OneTensor(Literal("K\0(J\xff\xff\xff\x7ft(K\0t")), "w repeats its elements");
}

TEST_F(PthFile, ATensorThatLeavesItsStorageIsRefused) {
  ExpectRefused(OneTensor("K\x04(K\x03t(K\x01t"), "w leaves its storage of 6 elements");
  ExpectRefused(OneTensor(Literal("K\0(K\x07K\x02t(K\0K\x06t")), "w leaves its storage");            // the seventh repeated
  ExpectRefused(OneTensor(Literal("K\0(K\x02t(J\xff\xff\xff\xfft")), "w leaves its storage");         // stride -1
  ExpectRefused(OneTensor(Literal("K\0(J\xff\xff\xff\xfft(K\x01t")), "w has an impossible shape");    // -1 elements
  ExpectRefused(OneTensor(Literal("K\0(K\x02K\x02t(K\x01t")), "w has an impossible shape");           // one stride too few
}

TEST_F(PthFile, CodeIsNeverRun) {
  ExpectRefused("\x80\x02" "cposix\nsystem\n" + Literal("X\x02\0\0\0ls") + "\x85R.", "it wants posix.system");
  ExpectRefused("\x80\x02" "cbuiltins\neval\n.", "it wants builtins.eval");
  ExpectRefused("\x80\x02" "i__main__\nX\n.", "opcode 105");  // INST
  ExpectRefused("\x80\x04" "}.", "another protocol");
}

TEST_F(PthFile, WhatIsNoDictOfTensorsIsRefused) {
  ExpectRefused("\x80\x02K\x01.", "it holds no dict");
  ExpectRefused("\x80\x02}" + Literal("X\x05\0\0\0epoch") + "K\x01s.", "epoch is no tensor");
  ExpectRefused("\x80\x02}K\x01K\x02s.", "something else where a name is expected");
  ExpectRefused("\x80\x02}(" + Literal("X\x05\0\0\0epoch") + "u.", "a key without a value");
  ExpectRefused("\x80\x02}", "it is cut short");
  ExpectRefused("\x80\x02u.", "too few values");
  ExpectRefused("\x80\x02h\x05.", "it recalls what it has not kept");
}

TEST_F(PthFile, BigEndianNumbersAreRefused) {
  Write(OneTensor(Literal("K\0(K\x06t(K\x01t")), std::string(24, '\1'), "big");
  EXPECT_THAT([&] { PthReader reader(path_); }, ThrowsMessage<DataError>(HasSubstr("big-endian")));
}

TEST_F(PthFile, NoSingleByteChangeOfThePickleDoesHarm) {
  const std::string pickle = OneTensor(Literal("K\0(K\x02K\x03t(K\x01K\x02t"));
  for (size_t at = 0; at < pickle.size(); ++at) {
    for (const char value : {'\0', 'R', '\xff'}) {
      std::string spoilt = pickle;
      spoilt[at] = value;
      Write(spoilt);
      try {
        PthReader reader(path_);
      } catch (const DataError&) {
      }  // anything else fails the test
    }
  }
}

TEST_F(PthFile, AZipIsKnownByItsStart) {
  Write(OneTensor(Literal("K\0(K\x06t(K\x01t")));
  EXPECT_TRUE(IsZip(path_));
  WriteFileAtomically(path_, "PK");
  EXPECT_FALSE(IsZip(path_));
}

}  // namespace
}  // namespace basin::base
