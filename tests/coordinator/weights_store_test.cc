#include "coordinator/weights_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstring>

#include "base/error.h"
#include "base/safetensors.h"
#include "coordinator/service.h"
#include "tests/support/message_of.h"

namespace basin::coordinator {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

const std::string kName = "members/002.safetensors";

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }
base::FileDigest DigestOf(const std::string& text) { return PieceHashes::Of(Bytes(text)).digest(); }

class Store : public testing::Test {
 protected:
  /// The bytes of a safetensors file with one tensor.
  std::string FileOf(const std::vector<float>& values) const {
    const base::TemporaryFolder folder;
    base::WriteSafetensors(
        folder.path() / "f",
        {{"w", base::DType::kF32, {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values))}});
    return base::ReadFile(folder.path() / "f");
  }
  static void Append(WeightsStore::Incoming& stream, const std::string& file, size_t from, size_t size) {
    const std::string part = file.substr(from, size);
    stream.Append(static_cast<int64_t>(from), base::Hash64(Bytes(part)), Bytes(part));
  }
  std::unique_ptr<WeightsStore::Incoming> Begin(const std::string& file, int64_t offset = 0) {
    return store_.Receive(kName, DigestOf(file), offset, [this] { ++replaced_; });
  }
  /// Names of all files of the folder, temporary ones too.
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path()))
      if (entry.is_regular_file()) names.push_back(entry.path().filename().string());
    return names;
  }

  const std::string file_ = FileOf({1, 2, 3, 4});
  base::TemporaryFolder folder_;
  WeightsStore store_{folder_.path()};
  int replaced_ = 0;
};

TEST_F(Store, AFileIsThereOnceItIsWholeAndNotBefore) {
  auto stream = Begin(file_);
  Append(*stream, file_, 0, 10);
  EXPECT_EQ(store_.Held(kName, DigestOf(file_)).held_bytes, 10);
  EXPECT_FALSE(store_.Find(kName));
  Append(*stream, file_, 10, file_.size() - 10);
  EXPECT_FALSE(fs::exists(store_.PathOf(kName)));
  const WeightsReceipt receipt = stream->Finish();
  EXPECT_TRUE(receipt.complete);
  EXPECT_THAT(receipt.flaw, IsEmpty());
  EXPECT_EQ(base::ReadFile(folder_.path() / kName), file_);
  EXPECT_EQ(store_.Find(kName)->digest, DigestOf(file_));
  EXPECT_TRUE(store_.Held(kName, DigestOf(file_)).complete);
  EXPECT_THAT(Files(), ElementsAre("002.safetensors"));
}

TEST_F(Store, ABrokenStreamIsGoneOnWithWhereItStopped) {
  Append(*Begin(file_), file_, 0, 30);
  EXPECT_THAT(test::MessageOf<Refused>([&] { Begin(file_, 31); }), AllOf(HasSubstr("byte 31"), HasSubstr("30 bytes")));
  auto next = Begin(file_, 30);
  EXPECT_EQ(next->Finish().held_bytes, 30);  // nothing came, and nothing is lost
  next = Begin(file_, 30);
  Append(*next, file_, 30, file_.size());
  EXPECT_TRUE(next->Finish().complete);
  EXPECT_EQ(replaced_, 1);  // the stream that brought nothing had not ended when the last one began
}

TEST_F(Store, WhatIsHeldOfAnotherFileDoesNotCount) {
  Append(*Begin(file_), file_, 0, 30);
  const std::string other = FileOf({5, 6});
  EXPECT_EQ(store_.Held(kName, DigestOf(other)).held_bytes, 0);
  EXPECT_THROW(Begin(other, 30), Refused);
  auto stream = Begin(other);
  Append(*stream, other, 0, other.size());
  EXPECT_TRUE(stream->Finish().complete);
  EXPECT_EQ(base::ReadFile(folder_.path() / kName), other);
}

TEST_F(Store, AChunkThatIsDamagedOrOutOfOrderIsRefusedAndHarmsNothing) {
  auto stream = Begin(file_);
  const std::string part = file_.substr(0, 10);
  EXPECT_THAT(test::MessageOf<Refused>([&] { stream->Append(0, base::Hash64(Bytes(part)) + 1, Bytes(part)); }),
              HasSubstr("another hash"));
  EXPECT_THAT(test::MessageOf<Refused>([&] { Append(*stream, file_, 5, 5); }), HasSubstr("allowed: 0"));
  Append(*stream, file_, 0, 10);
  EXPECT_THAT(test::MessageOf<Refused>([&] { Append(*stream, file_, 0, 10); }), HasSubstr("allowed: 10"));
  EXPECT_THROW(stream->Append(10, base::Hash64({}), {}), Refused);
  const std::string big(kMaxChunkBytes + 1, 'x');
  EXPECT_THAT(test::MessageOf<Refused>([&] { stream->Append(10, base::Hash64(Bytes(big)), Bytes(big)); }),
              HasSubstr("allowed: 1 to 524288"));
  const std::string longer = file_ + "more";
  EXPECT_THAT(test::MessageOf<Refused>([&] { Append(*stream, longer, 10, longer.size()); }), HasSubstr("are left"));
  Append(*stream, file_, 10, file_.size());
  EXPECT_TRUE(stream->Finish().complete);
}

TEST_F(Store, AWholeThatIsNotWhatWasAnnouncedIsDropped) {
  base::FileDigest wrong = DigestOf(file_);
  ++wrong.hash;
  auto stream = store_.Receive(kName, wrong, 0, [] {});
  Append(*stream, file_, 0, file_.size());
  EXPECT_THAT(test::MessageOf<Refused>([&] { stream->Finish(); }), HasSubstr("announced: "));
  EXPECT_THAT(Files(), IsEmpty());
  EXPECT_EQ(store_.Held(kName, wrong).held_bytes, 0);
}

TEST_F(Store, JunkIsNeverPutInPlaceAndAnEarlierFileStays) {
  auto stream = Begin(file_);
  Append(*stream, file_, 0, file_.size());
  stream->Finish();
  const std::string junk(100, 'j');
  stream = Begin(junk);
  Append(*stream, junk, 0, junk.size());
  EXPECT_THAT(test::MessageOf<Refused>([&] { stream->Finish(); }), HasSubstr("no safetensors file"));
  EXPECT_EQ(base::ReadFile(folder_.path() / kName), file_);
  EXPECT_THAT(Files(), ElementsAre("002.safetensors"));
}

TEST_F(Store, AValueThatIsNotFiniteIsFlagged) {
  const std::string file = FileOf({1, std::nanf(""), 3});
  auto stream = Begin(file);
  Append(*stream, file, 0, file.size());
  EXPECT_EQ(stream->Finish().flaw, "tensor w has a value that is not finite (element 1)");
  EXPECT_EQ(store_.Held(kName, DigestOf(file)).flaw, "tensor w has a value that is not finite (element 1)");
}

TEST_F(Store, ANewerStreamTakesThePlaceOfAnOlderOne) {
  auto old = Begin(file_);
  Append(*old, file_, 0, 10);
  auto young = Begin(file_, 10);
  EXPECT_EQ(replaced_, 1);
  EXPECT_THAT(test::MessageOf<Refused>([&] { Append(*old, file_, 10, 10); }), HasSubstr("a newer stream"));
  EXPECT_THROW(old->Finish(), Refused);
  old.reset();  // must not end the younger one
  Append(*young, file_, 10, file_.size());
  EXPECT_TRUE(young->Finish().complete);
}

TEST_F(Store, SizesAndNamesOutOfRangeAreRefused) {
  WeightsStore small(folder_.path(), 50);
  EXPECT_THAT(test::MessageOf<Refused>([&] {
                small.Receive(kName, {51, 0}, 0, [] {});
              }),
              HasSubstr("allowed: 1 to 50"));
  EXPECT_THROW(small.Receive(kName, {0, 0}, 0, [] {}), Refused);
  for (const char* name : {"", "../x.safetensors", "members/2.safetensors", "members/0002.safetensors",
                           "members/-01.safetensors", "members/../a.safetensors", "/a.safetensors", ".safetensors",
                           ".a.safetensors", "a.txt", "members/4096.safetensors"})
    EXPECT_THAT(test::MessageOf<Refused>([&] { store_.Find(name); }), HasSubstr("names no file here")) << name;
  EXPECT_TRUE(IsMemberName("members/000.safetensors") && IsMemberName("members/4095.safetensors"));
  EXPECT_TRUE(IsAverageName("average_raw.safetensors"));
}

TEST_F(Store, WithoutAFolderEverythingIsRefusedWithTheWayOut) {
  WeightsStore none{fs::path()};
  EXPECT_THAT(test::MessageOf<Refused>([&] { none.Held(kName, {}); }), HasSubstr("--run-dir"));
}

TEST_F(Store, AFolderThatIsMissingOrCannotBeWrittenIsAnErrorOfTheDisk) {
  WeightsStore missing(folder_.path() / "gone");
  EXPECT_THAT(test::MessageOf<DataError>([&] { missing.Receive(kName, DigestOf(file_), 0, [] {}); }),
              HasSubstr("gone is missing"));
  base::WriteFileAtomically(folder_.path() / "members", "a file where a folder must be");
  EXPECT_THAT(test::MessageOf<DataError>([&] { Begin(file_); }), HasSubstr("members"));
}

TEST_F(Store, FilesOfAnEarlierCoordinatorAreFoundAndRead) {
  fs::create_directories(folder_.path() / "members");
  base::WriteFileAtomically(folder_.path() / kName, file_);
  EXPECT_TRUE(store_.Held(kName, DigestOf(file_)).complete);
  EXPECT_THAT(test::MessageOf<Refused>([&] { Begin(file_); }), HasSubstr("already, whole"));
  base::WriteFileAtomically(folder_.path() / "average.safetensors", "junk of somebody");
  EXPECT_THROW(store_.Find("average.safetensors"), DataError);
}

TEST_F(Store, WhatNeverBecameWholeLeavesNothingBehind) {
  {
    WeightsStore store(folder_.path());
    Append(*store.Receive(kName, DigestOf(file_), 0, [] {}), file_, 0, 10);
    EXPECT_EQ(Files().size(), 1U);
  }
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(Store, ChunksMayHaveAnySizeAndComeInParts) {
  const std::string file = FileOf(std::vector<float>(500'000, 0.5F));  // three pieces and a bit
  auto stream = Begin(file);
  Append(*stream, file, 0, kMaxChunkBytes);       // a piece
  Append(*stream, file, kMaxChunkBytes, 100'000);  // less than one
  const std::string rest = file.substr(kMaxChunkBytes + 100'000, kMaxChunkBytes);  // over the end of one
  const std::array parts{Bytes(rest).first(1), Bytes(rest).subspan(1, 70'000), Bytes(rest).subspan(70'001)};
  stream->AppendParts(static_cast<int64_t>(kMaxChunkBytes) + 100'000, base::Hash64(Bytes(rest)), parts);
  Append(*stream, file, 2 * kMaxChunkBytes + 100'000, kMaxChunkBytes - 1);
  Append(*stream, file, 3 * kMaxChunkBytes + 99'999, file.size());
  EXPECT_TRUE(stream->Finish().complete);
  EXPECT_EQ(base::ReadFile(folder_.path() / kName), file);
  EXPECT_THAT(*store_.Find(kName)->pieces, SizeIs(4));
}

TEST_F(Store, WhatAKilledCoordinatorLeftIsRemovedAtTheNextStart) {
  fs::create_directories(folder_.path() / "members");
  const auto left = [&](const char* name) { base::WriteFileAtomically(folder_.path() / name, "half a file"); };
  left("members/002.safetensors.tmp.4711.0");
  left("members/other.safetensors.tmp.4711.0");
  left("average.safetensors.tmp.4711.3");
  left("notes.txt.tmp.4711.3");
  left("members/003.safetensors");
  const base::AtomicFile alive(folder_.path() / "members/004.safetensors");
  const WeightsStore next(folder_.path());
  EXPECT_THAT(Files(), UnorderedElementsAre("other.safetensors.tmp.4711.0", "notes.txt.tmp.4711.3", "003.safetensors",
                                            alive.temporary().filename().string()));
}

/// Each file may have so many bytes, as on a disk that is full then.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallFiles() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = std::signal(SIGXFSZ, SIG_IGN);  // then the write fails instead
};

TEST_F(Store, ADiskThatTakesNoMoreIsAnErrorAndEarlierFilesStay) {
  auto stream = Begin(file_);
  Append(*stream, file_, 0, file_.size());
  stream->Finish();
  const std::string other = FileOf(std::vector<float>(1000, 2.0F));
  {
    const SmallFiles limit(1000);
    stream = Begin(other);
    Append(*stream, other, 0, 900);
    EXPECT_THAT(test::MessageOf<DataError>([&] { Append(*stream, other, 900, 500); }),
                AllOf(HasSubstr("cannot keep members/002.safetensors"), HasSubstr("File too large"), HasSubstr("Free or mend")));
    EXPECT_THAT(Files(), ElementsAre("002.safetensors"));
    EXPECT_THROW(Append(*stream, other, 1400, 10), Refused);  // the stream is over
  }
  EXPECT_EQ(store_.Held(kName, DigestOf(other)).held_bytes, 0);
  EXPECT_EQ(base::ReadFile(folder_.path() / kName), file_);
  stream = Begin(other);
  Append(*stream, other, 0, other.size());
  EXPECT_TRUE(stream->Finish().complete);
}

}  // namespace
}  // namespace basin::coordinator
