// Writing, and reading back what was written.
#include "base/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace basin::base {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::vector<std::string> NamesOf(const std::vector<TensorView>& tensors) {
  std::vector<std::string> names;
  for (const TensorView& tensor : tensors) names.push_back(tensor.name);
  return names;
}

class SafetensorsWriting : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "model.safetensors";
};

TEST_F(SafetensorsWriting, ProducesExactlyTheBytesOfTheFormat) {
  const std::string a = "12345678", b = "xyz";
  WriteSafetensors(path_,
                   {{"b", DType::kU8, {3}, BytesOf(b)}, {"a", DType::kF32, {2, 1}, BytesOf(a)}},
                   {{"note", "x\"y"}});
  const std::string header =
      R"({"__metadata__":{"format":"pt","note":"x\"y"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})";
  const size_t padded = (header.size() + 7) / 8 * 8;
  ASSERT_LT(padded, 256u);
  const std::string length = std::string(1, static_cast<char>(padded)) + std::string(7, '\0');
  EXPECT_EQ(ReadFile(path_), length + header + std::string(padded - header.size(), ' ') + a + b);
}

TEST_F(SafetensorsWriting, BringsEveryDtypeBack) {
  const std::string data = "0123456789abcdef";  // 128 bits: two elements of 64 ... sixteen of 8
  std::vector<TensorView> tensors;
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16, DType::kI64,
                            DType::kI32, DType::kI16, DType::kI8, DType::kU8, DType::kBool}) {
    tensors.push_back({std::string("t.") + std::string(DTypeName(dtype)),
                       dtype,
                       {2, 64 / DTypeBits(dtype)},
                       BytesOf(data)});
  }
  WriteSafetensors(path_, tensors);
  const SafetensorsReader reader(path_);
  ASSERT_EQ(reader.tensors().size(), tensors.size());
  for (const TensorView& expected : tensors) {
    const TensorView& found = reader.Require(expected.name);
    EXPECT_EQ(found.dtype, expected.dtype);
    EXPECT_EQ(found.shape, expected.shape);
    EXPECT_TRUE(std::equal(found.bytes.begin(), found.bytes.end(), expected.bytes.begin(),
                           expected.bytes.end()));
  }
}

TEST_F(SafetensorsWriting, BringsScalarsEmptyTensorsAndStrangeNamesBack) {
  const std::string eight = "8 bytes.";
  const std::string strange = "a \"quoted\" \\ name\nwith \xC3\xA9 and \x01";
  WriteSafetensors(path_, {{"scalar", DType::kI64, {}, BytesOf(eight)},
                           {"empty", DType::kF32, {4, 0, 2}, {}},
                           {strange, DType::kF64, {1}, BytesOf(eight)}});
  const SafetensorsReader reader(path_);
  EXPECT_TRUE(reader.Require("scalar").shape.empty());
  EXPECT_EQ(reader.Require("empty").shape, (std::vector<int64_t>{4, 0, 2}));
  EXPECT_TRUE(reader.Require("empty").bytes.empty());
  EXPECT_EQ(reader.Require(strange).bytes.size(), 8u);
}

TEST_F(SafetensorsWriting, AFileWithoutTensorsIsValid) {
  WriteSafetensors(path_, {});
  EXPECT_TRUE(SafetensorsReader(path_).tensors().empty());
}

TEST_F(SafetensorsWriting, OrdersByDescendingAlignmentThenNameAndAlignsTheData) {
  const std::string zeros(8, '\0');
  const auto bytes = [&](size_t n) { return BytesOf(zeros).first(n); };
  WriteSafetensors(path_, {{"c8", DType::kI8, {1}, bytes(1)},
                           {"b16", DType::kF16, {1}, bytes(2)},
                           {"z32", DType::kF32, {1}, bytes(4)},
                           {"a8", DType::kBool, {1}, bytes(1)},
                           {"a32", DType::kI32, {1}, bytes(4)},
                           {"z64", DType::kF64, {1}, bytes(8)},
                           {"y64", DType::kI64, {1}, bytes(8)},
                           {"a16", DType::kBF16, {1}, bytes(2)}});
  const SafetensorsReader reader(path_);
  EXPECT_THAT(NamesOf(reader.tensors()),
              ElementsAre("y64", "z64", "a32", "z32", "a16", "b16", "a8", "c8"));
  for (const TensorView& tensor : reader.tensors()) {  // the map begins at a page
    const auto address = reinterpret_cast<uintptr_t>(tensor.bytes.data());
    EXPECT_EQ(address % static_cast<size_t>(DTypeBits(tensor.dtype) / 8), 0u) << tensor.name;
  }
}

TEST_F(SafetensorsWriting, AlwaysMarksTheFormatAndKeepsTheMetadataOfTheCaller) {
  WriteSafetensors(path_, {}, {{"basin", "{\"epoch\": 3}"}, {"format", "other"}});
  EXPECT_EQ(SafetensorsReader(path_).metadata(),
            (std::map<std::string, std::string>{{"basin", "{\"epoch\": 3}"}, {"format", "pt"}}));
}

TEST_F(SafetensorsWriting, StreamsTensorsInItsOrderAndShowsTheFileOnlyAtTheEnd) {
  SafetensorsWriter writer(path_,
                           {{"small", DType::kU8, {2}, {}}, {"large", DType::kF32, {1000}, {}}});
  EXPECT_THAT(NamesOf(writer.order()), ElementsAre("large", "small"));
  const std::string large(4000, 'L'), small = "ss";
  writer.Append(BytesOf(large));
  EXPECT_THROW(writer.Commit(), CheckFailed);  // one is missing
  writer.Append(BytesOf(small));
  EXPECT_FALSE(std::filesystem::exists(path_));
  writer.Commit();
  const SafetensorsReader reader(path_);
  EXPECT_EQ(reader.Require("large").bytes[3999], std::byte{'L'});
  EXPECT_EQ(reader.Require("small").bytes[0], std::byte{'s'});
}

TEST_F(SafetensorsWriting, AnAbandonedWriterLeavesNothing) {
  { SafetensorsWriter writer(path_, {{"t", DType::kU8, {2}, {}}}); }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(SafetensorsWriting, BytesThatDoNotFitTheDeclarationAreABug) {
  SafetensorsWriter writer(path_, {{"t", DType::kF32, {2}, {}}});
  const std::string data(9, 'x');
  EXPECT_THROW(writer.Append(BytesOf(data).first(7)), CheckFailed);
  EXPECT_THROW(writer.Append(BytesOf(data)), CheckFailed);
  writer.Append(BytesOf(data).first(8));
  EXPECT_THROW(writer.Append({}), CheckFailed);  // nothing more is declared
}

TEST_F(SafetensorsWriting, DeclarationsThatNoReaderWouldAcceptAreABug) {
  const auto declare = [&](std::vector<TensorView> declared) {
    SafetensorsWriter writer(path_, std::move(declared));
  };
  EXPECT_THROW(declare({{"t", DType::kU8, {0}, {}}, {"t", DType::kF32, {0}, {}}}), CheckFailed);
  EXPECT_THROW(declare({{"__metadata__", DType::kU8, {0}, {}}}), CheckFailed);
  EXPECT_THROW(declare({{"t", DType::kU8, {-1}, {}}}), CheckFailed);
  EXPECT_THROW(declare({{"t", DType::kU8, {int64_t{1} << 32, int64_t{1} << 32}, {}}}), CheckFailed);
  EXPECT_THROW(declare({{"t", DType::kF4, {1}, {}}}), CheckFailed);
  EXPECT_THROW(declare({{"\xFF", DType::kU8, {0}, {}}}), DataError);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(SafetensorsWriting, AMissingFolderIsADataErrorThatNamesTheFile) {
  try {
    WriteSafetensors(folder_.path() / "missing" / "m.safetensors", {});
    FAIL() << "must throw";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("missing/m.safetensors"));
  }
}

TEST_F(SafetensorsWriting, ReadsAHundredThousandTensorsInAMoment) {
  std::vector<TensorView> tensors;
  for (int i = 0; i < 100'000; ++i)
    tensors.push_back({"layer." + std::to_string(i), DType::kU8, {0}, {}});
  WriteSafetensors(
      path_, tensors);  // anything quadratic here would take minutes and run into the time limit
  const SafetensorsReader reader(path_);
  EXPECT_EQ(reader.tensors().size(), 100'000u);
  EXPECT_NE(reader.Find("layer.99999"), nullptr);
}

TEST(TensorView, CountsItsElements) {
  EXPECT_EQ((TensorView{"t", DType::kF32, {}, {}}).num_elements(), 1);
  EXPECT_EQ((TensorView{"t", DType::kF32, {2, 3, 4}, {}}).num_elements(), 24);
  EXPECT_EQ((TensorView{"t", DType::kF32, {2, 0, 4}, {}}).num_elements(), 0);
  EXPECT_THROW((TensorView{"t", DType::kF32, {-1}, {}}).num_elements(), CheckFailed);
}

}  // namespace
}  // namespace basin::base
