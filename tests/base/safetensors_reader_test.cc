// Reading: files built by hand, byte for byte, so that nothing here depends on Basin's own writer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/safetensors.h"

namespace basin::base {
namespace {

using testing::HasSubstr;

std::string LittleEndian64(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}

std::string FileBytes(const std::string& header, const std::string& data) {
  return LittleEndian64(header.size()) + header + data;
}

// "name":{...} of one entry.
std::string Entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return Text("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":", shape,
              ",\"data_offsets\":", offsets, "}");
}

std::string TextOf(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

class SafetensorsReading : public testing::Test {
 protected:
  std::filesystem::path File(const std::string& bytes) const {
    std::ofstream(folder_.path() / "file.safetensors", std::ios::binary)
        << bytes;  // no fsync: some tests write often
    return folder_.path() / "file.safetensors";
  }

  // The message with which opening fails; empty (and a failure) when it does not fail.
  std::string Refusal(const std::string& bytes) const {
    try {
      SafetensorsReader reader(File(bytes));
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr("file.safetensors"));
      return error.what();
    }
    ADD_FAILURE() << "was accepted";
    return "";
  }

  std::string RefusalOfHeader(const std::string& header, const std::string& data = "") const {
    return Refusal(FileBytes(header, data));
  }

  TemporaryFolder folder_;
};

TEST_F(SafetensorsReading, AFileAsThePythonLibraryWritesIt) {
  // save_file({"bias": float32 [2], "weight": float16 [1, 3], "steps": int64 scalar},
  // metadata={"format": "pt"}): by descending dtype alignment, then name; padded with spaces to a
  // multiple of 8.
  std::string header =
      R"({"__metadata__":{"format":"pt"},"steps":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
      R"("bias":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
      R"("weight":{"dtype":"F16","shape":[1,3],"data_offsets":[16,22]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  const std::string steps("\x2A\0\0\0\0\0\0\0", 8), bias("\0\0\x80\x3F\0\0\0\xC0", 8),
      weight("\0\x3C\0\x40\0\x42", 6);
  const SafetensorsReader reader(File(FileBytes(header, steps + bias + weight)));

  ASSERT_EQ(reader.tensors().size(), 3u);
  EXPECT_EQ(reader.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  EXPECT_EQ(reader.tensors()[0].name, "steps");
  EXPECT_EQ(reader.tensors()[0].shape, std::vector<int64_t>{});
  EXPECT_EQ(reader.tensors()[0].num_elements(), 1);
  int64_t count = 0;
  std::memcpy(&count, reader.Require("steps").bytes.data(), 8);
  EXPECT_EQ(count, 42);
  std::array<float, 2> values{};
  std::memcpy(values.data(), reader.Require("bias").bytes.data(), 8);
  EXPECT_EQ(values, (std::array<float, 2>{1.0f, -2.0f}));
  EXPECT_EQ(reader.Require("weight").dtype, DType::kF16);
  EXPECT_EQ(reader.Require("weight").shape, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(TextOf(reader.Require("weight").bytes), weight);
}

TEST_F(SafetensorsReading, ListsTensorsInTheOrderOfTheDataWhateverTheOrderOfTheHeader) {
  const std::string header =
      "{" + Entry("last", "U8", "[2]", "[3,5]") + "," + Entry("first", "U8", "[3]", "[0,3]") + "}";
  const SafetensorsReader reader(File(FileBytes(header, "abcde")));
  EXPECT_EQ(reader.tensors()[0].name, "first");
  EXPECT_EQ(TextOf(reader.tensors()[0].bytes), "abc");
  EXPECT_EQ(TextOf(reader.tensors()[1].bytes), "de");
}

TEST_F(SafetensorsReading, AcceptsEmptyTensorsScalarsAndFilesWithoutTensorsOrMetadata) {
  const std::string header = "{" + Entry("one", "U8", "[]", "[0,1]") + "," +
                             Entry("none", "F32", "[3,0]", "[1,1]") + "," +
                             Entry("none2", "F32", "[0]", "[0,0]") + "}";
  const SafetensorsReader reader(File(FileBytes(header, "x")));
  EXPECT_EQ(reader.Require("none").num_elements(), 0);
  EXPECT_TRUE(reader.Require("none").bytes.empty());
  EXPECT_TRUE(reader.Require("none2").bytes.empty());
  EXPECT_TRUE(reader.metadata().empty());
  EXPECT_TRUE(SafetensorsReader(File(FileBytes("{}", ""))).tensors().empty());
  EXPECT_TRUE(SafetensorsReader(File(FileBytes("{}      ", ""))).tensors().empty());
}

TEST_F(SafetensorsReading, KnowsEveryDtypeOfTheFormatAndItsWidth) {
  const std::vector<std::pair<std::string, int>> bits = {
      {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
      {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
      {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
      {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
      {"I64", 64},        {"U64", 64}};
  for (const auto& [name, width] : bits) {  // eight elements fill `width` bytes
    const std::string header = "{" + Entry("t", name, "[2,4]", Text("[0,", width, "]")) + "}";
    const SafetensorsReader reader(File(FileBytes(header, std::string(width, 'd'))));
    EXPECT_EQ(DTypeName(reader.tensors()[0].dtype), name);
    EXPECT_EQ(DTypeBits(reader.tensors()[0].dtype), width);
  }
}

TEST_F(SafetensorsReading, DecodesEscapesAndUtf8InNames) {
  const std::string header = "{" + Entry("a\\u00e9\\n\xC3\xA9", "U8", "[1]", "[0,1]") + "}";
  const SafetensorsReader reader(File(FileBytes(header, "x")));
  EXPECT_EQ(reader.tensors()[0].name, "a\xC3\xA9\n\xC3\xA9");
}

TEST_F(SafetensorsReading, FindsByNameAndSuggestsTheNearest) {
  const std::string header = "{" + Entry("conv1.weight", "U8", "[1]", "[0,1]") + "}";
  const SafetensorsReader reader(File(FileBytes(header, "x")));
  EXPECT_EQ(reader.Find("conv1.weight"), &reader.tensors()[0]);
  EXPECT_EQ(reader.Find("conv1"), nullptr);
  try {
    reader.Require("conv1.weigth");
    FAIL() << "must throw";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("file.safetensors: no tensor 'conv1.weigth'"));
    EXPECT_THAT(error.what(), HasSubstr("Did you mean 'conv1.weight'?"));
  }
}

TEST_F(SafetensorsReading, KeepsItsIndexAndBytesWhenMoved) {
  const std::string header =
      "{" + Entry("a", "U8", "[1]", "[0,1]") + "," + Entry("b", "U8", "[1]", "[1,2]") + "}";
  SafetensorsReader reader(File(FileBytes(header, "xy")));
  const SafetensorsReader moved(std::move(reader));
  EXPECT_EQ(TextOf(moved.Require("b").bytes), "y");
}

TEST_F(SafetensorsReading, RefusesABadLengthOfTheHeader) {
  EXPECT_THAT(Refusal(""), HasSubstr("found 0 bytes"));
  EXPECT_THAT(Refusal("1234567"), HasSubstr("found 7 bytes"));
  EXPECT_THAT(Refusal(LittleEndian64(0)), HasSubstr("does not start with '{'"));
  EXPECT_THAT(Refusal(LittleEndian64(3) + "{}"), HasSubstr("cut short"));
  EXPECT_THAT(Refusal(LittleEndian64(100'000'000) + "{}"), HasSubstr("cut short"));
  EXPECT_THAT(Refusal(LittleEndian64(100'000'001) + "{}"), HasSubstr("allowed are 100000000"));
  EXPECT_THAT(Refusal(LittleEndian64(~uint64_t{0}) + "{}"), HasSubstr("18446744073709551615"));
}

TEST_F(SafetensorsReading, RefusesAHeaderThatIsNotUtf8JsonStartingWithABrace) {
  EXPECT_THAT(RefusalOfHeader(" {}"), HasSubstr("does not start with '{'"));
  EXPECT_THAT(RefusalOfHeader("[]"), HasSubstr("does not start with '{'"));
  EXPECT_THAT(RefusalOfHeader("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(RefusalOfHeader("{} {}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(RefusalOfHeader("{}x"), HasSubstr("not valid JSON"));
  EXPECT_THAT(RefusalOfHeader("{/**/}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(RefusalOfHeader(std::string("{}\0{", 4)), HasSubstr("NUL"));
  EXPECT_THAT(RefusalOfHeader("{" + Entry("\xFF", "U8", "[0]", "[0,0]") + "}"),
              HasSubstr("not valid JSON"));
  EXPECT_THAT(RefusalOfHeader("{" + Entry("\xC0\xAF", "U8", "[0]", "[0,0]") + "}"),
              HasSubstr("not valid JSON"));
  EXPECT_THAT(RefusalOfHeader("{" + std::string(100'000, '[')), HasSubstr("not valid JSON"));
}

TEST_F(SafetensorsReading, RefusesAKeyThatOccursTwice) {
  const std::string entry = Entry("w", "U8", "[0]", "[0,0]");
  EXPECT_THAT(RefusalOfHeader("{" + entry + "," + entry + "}"),
              HasSubstr("the key 'w' occurs twice"));
  EXPECT_THAT(RefusalOfHeader("{" + entry + "," + Entry("\\u0077", "U8", "[0]", "[0,0]") + "}"),
              HasSubstr("twice"));
  EXPECT_THAT(RefusalOfHeader(R"({"__metadata__":{},"__metadata__":{}})"),
              HasSubstr("'__metadata__' occurs twice"));
  EXPECT_THAT(RefusalOfHeader(R"({"__metadata__":{"a":"1","a":"2"}})"),
              HasSubstr("'a' occurs twice in __metadata__"));
  EXPECT_THAT(
      RefusalOfHeader(R"({"w":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
      HasSubstr("'w': the key 'dtype' occurs twice"));
}

TEST_F(SafetensorsReading, RefusesMetadataThatAreNotStrings) {
  for (const char* value : {"1", "1.5", "-1", "null", "true", "[]", "{}"}) {
    EXPECT_THAT(RefusalOfHeader(Text("{\"__metadata__\":{\"a\":", value, "}}")),
                HasSubstr("'__metadata__', 'a': found"))
        << value;
  }
  EXPECT_THAT(RefusalOfHeader(R"({"__metadata__":"pt"})"),
              HasSubstr("'__metadata__': found a string, allowed: an object"));
}

TEST_F(SafetensorsReading, RefusesAnEntryOfAnotherForm) {
  EXPECT_THAT(RefusalOfHeader(R"({"w":1})"), HasSubstr("'w': found a number, allowed: an object"));
  EXPECT_THAT(RefusalOfHeader(R"({"w":[]})"), HasSubstr("'w': found an array"));
  EXPECT_THAT(RefusalOfHeader(R"({"w":{}})"), HasSubstr("'w': the key 'dtype' is missing"));
  EXPECT_THAT(RefusalOfHeader(R"({"w":{"dtype":"U8","data_offsets":[0,0]}})"),
              HasSubstr("'shape' is missing"));
  EXPECT_THAT(RefusalOfHeader(R"({"w":{"dtype":"U8","shape":[0]}})"),
              HasSubstr("'data_offsets' is missing"));
  EXPECT_THAT(RefusalOfHeader(R"({"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}})"),
              HasSubstr("found the key 'x', allowed: dtype, shape, data_offsets"));
  EXPECT_THAT(RefusalOfHeader(R"({"w":{"dtype":8}})"),
              HasSubstr("'w', 'dtype': found a number, allowed: a string"));
  EXPECT_THAT(RefusalOfHeader(R"({"w":{"dtype":["U8"]}})"), HasSubstr("'dtype': found an array"));
  EXPECT_THAT(RefusalOfHeader(R"({"w":{"shape":3}})"),
              HasSubstr("allowed: an array of whole numbers"));
  EXPECT_THAT(RefusalOfHeader(R"({"w":{"shape":{}}})"), HasSubstr("'shape': found an object"));
  EXPECT_THAT(RefusalOfHeader(R"({"w":{"shape":[[1]]}})"), HasSubstr("'shape': found an array"));
  EXPECT_THAT(RefusalOfHeader(R"({"w":{"shape":["1"]}})"), HasSubstr("'shape': found a string"));
}

TEST_F(SafetensorsReading, RefusesAnUnknownDtype) {
  const std::string message = RefusalOfHeader("{" + Entry("w", "F128", "[0]", "[0,0]") + "}");
  EXPECT_THAT(message, HasSubstr("tensor 'w': found dtype 'F128', allowed: F32, F64"));
  EXPECT_THAT(RefusalOfHeader("{" + Entry("w", "f32", "[0]", "[0,0]") + "}"), HasSubstr("'f32'"));
}

TEST_F(SafetensorsReading, RefusesShapesThatAreNegativeNotWholeOrOverflow) {
  const auto refusal = [&](const std::string& shape, const std::string& dtype = "F32") {
    return RefusalOfHeader("{" + Entry("w", dtype, shape, "[0,0]") + "}");
  };
  EXPECT_THAT(refusal("[-1]"), HasSubstr("'w', 'shape': found a negative number"));
  EXPECT_THAT(refusal("[1.0]"), HasSubstr("found the number 1.0"));
  EXPECT_THAT(refusal("[1e3]"), HasSubstr("found the number 1e3"));
  EXPECT_THAT(refusal("[null]"), HasSubstr("found null"));
  EXPECT_THAT(refusal("[9223372036854775808]"), HasSubstr("beyond 2^63"));
  EXPECT_THAT(refusal("[99999999999999999999]"), HasSubstr("found the number"));
  EXPECT_THAT(refusal("[4294967296,4294967296]"),
              HasSubstr("overflows"));                                    // 2^64 = 0 when it wraps
  EXPECT_THAT(refusal("[4611686018427387904]"), HasSubstr("overflows"));  // 2^62 elements * 32 bits
  EXPECT_THAT(refusal("[0,4294967296,4294967296]"),
              HasSubstr("overflows"));  // empty, but its strides overflow
  EXPECT_THAT(refusal("[3]", "F4"), HasSubstr("no whole number of bytes"));  // 12 bits
}

TEST_F(SafetensorsReading, RefusesHolesOverlapsAndOffsetsThatDoNotMatchTheShape) {
  const auto refusal = [&](const std::string& first, const std::string& second) {
    return RefusalOfHeader(
        "{" + Entry("a", "U8", "[4]", first) + "," + Entry("b", "U8", "[4]", second) + "}",
        std::string(9, 'x'));
  };
  EXPECT_THAT(refusal("[1,5]", "[5,9]"), HasSubstr("tensor 'a': data begins at 1, allowed is 0"));
  EXPECT_THAT(refusal("[0,4]", "[5,9]"), HasSubstr("(a hole)"));
  EXPECT_THAT(refusal("[0,4]", "[3,7]"), HasSubstr("(an overlap)"));
  EXPECT_THAT(refusal("[0,4]", "[0,4]"), HasSubstr("(an overlap)"));
  EXPECT_THAT(refusal("[0,4]", "[4,9]"), HasSubstr("do not span the 4 bytes of shape [4] of U8"));
  EXPECT_THAT(refusal("[0,4]", "[4,3]"), HasSubstr("do not span"));
  EXPECT_THAT(refusal("[0,4]", "[4,8]"),
              HasSubstr("end at byte 8 of the data, but the file holds 9"));
  EXPECT_THAT(refusal("[0,4]", "[4]"), HasSubstr("found 1 data_offsets, allowed: 2"));
  EXPECT_THAT(refusal("[0,4]", "[4,8,9]"), HasSubstr("found 3 data_offsets"));
  EXPECT_THAT(refusal("[0,4]", "[-4,8]"), HasSubstr("negative"));
}

TEST_F(SafetensorsReading, RefusesDataThatAreCutShortOrTooLong) {
  const std::string header = "{" + Entry("a", "F32", "[2]", "[0,8]") + "}";
  EXPECT_THAT(RefusalOfHeader(header, "1234567"),
              HasSubstr("data ends at 8, but the file holds 7"));
  EXPECT_THAT(RefusalOfHeader(header, "123456789"), HasSubstr("the file holds 9"));
  EXPECT_THAT(RefusalOfHeader("{}", "x"), HasSubstr("the file holds 1"));
}

TEST_F(SafetensorsReading, AnyCutAndAnyDamagedByteIsEitherReadOrRefusedWithADataError) {
  const std::string whole =
      FileBytes(R"({"__metadata__":{"k":"v"},)" + Entry("a", "F32", "[2]", "[0,8]") + "," +
                    Entry("b", "I8", "[1,3]", "[8,11]") + "}",
                "12345678abc");
  for (size_t length = 0; length < whole.size(); ++length) Refusal(whole.substr(0, length));
  int refused = 0, trials = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int bit : {0, 1, 4, 7}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ 1 << bit);
      ++trials;
      try {
        const SafetensorsReader reader(File(damaged));
        size_t bytes = 0;
        for (const TensorView& tensor : reader.tensors()) bytes += tensor.bytes.size();
        EXPECT_EQ(bytes, 11u);  // whatever the names became, all data are accounted for
      } catch (const DataError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(
      refused,
      trials / 2);  // damage in the data or inside a name cannot be noticed; elsewhere it must be
}

TEST_F(SafetensorsReading, AMissingFileIsADataError) {
  EXPECT_THROW(SafetensorsReader(folder_.path() / "gone.safetensors"), DataError);
}

}  // namespace
}  // namespace basin::base
