#include "base/files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"

namespace basin::base {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;

template <typename Action>
std::string DataErrorOf(Action action) {
  try {
    action();
  } catch (const DataError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no DataError";
  return "";
}

std::set<std::string> NamesIn(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

class Files : public testing::Test {
 protected:
  fs::path Path(const std::string& name) const { return folder_.path() / name; }
  TemporaryFolder folder_;
};

TEST_F(Files, AnAtomicFileIsInvisibleUntilCommitted) {
  AtomicFile file(Path("result"));
  file.Write("first ");
  file.Write("second");
  EXPECT_FALSE(fs::exists(Path("result")));
  file.Commit();
  EXPECT_EQ(ReadFile(Path("result")), "first second");
  EXPECT_EQ(NamesIn(folder_.path()), std::set<std::string>{"result"});
}

TEST_F(Files, AnAtomicFileLeavesNothingWhenDestroyedBeforeCommit) {
  {
    AtomicFile file(Path("result"));
    file.Write("half");
    EXPECT_EQ(NamesIn(folder_.path()).size(), 1u);  // the temporary is in the same folder
  }
  EXPECT_THAT(NamesIn(folder_.path()), IsEmpty());
}

TEST_F(Files, ThePreviousContentStaysIntactUntilCommit) {
  WriteFileAtomically(Path("result"), "old");
  {
    AtomicFile file(Path("result"));
    file.Write("new and abandoned");
    EXPECT_EQ(ReadFile(Path("result")), "old");
  }
  EXPECT_EQ(ReadFile(Path("result")), "old");
  WriteFileAtomically(Path("result"), "new");
  EXPECT_EQ(ReadFile(Path("result")), "new");
}

TEST_F(Files, AnAtomicFileKnowsSizeAndChecksumOfWhatWasWritten) {
  std::string content(40'000'001, 'x');  // more than it hands to the system at once
  for (size_t i = 0; i < content.size(); i += 1000) content[i] = static_cast<char>(i);
  AtomicFile file(folder_.path() / "large");
  file.Write(content.substr(0, 7));
  file.Write(content.substr(7));
  file.Commit();
  EXPECT_EQ(ReadFile(folder_.path() / "large"), content);
  const FileDigest expected{.bytes = static_cast<int64_t>(content.size()),
                            .hash = Hash64(std::as_bytes(std::span(content)))};
  EXPECT_EQ(file.digest(), expected);
}

TEST_F(Files, TwoWritersOfOneNameDoNotTouchEachOther) {
  AtomicFile first(Path("result")), second(Path("result"));
  first.Write("1111");
  second.Write("2");
  second.Commit();
  EXPECT_EQ(ReadFile(Path("result")), "2");
  first.Commit();
  EXPECT_EQ(ReadFile(Path("result")), "1111");
}

TEST_F(Files, AStaleTemporaryOfAKilledProcessIsNoObstacle) {
  // Temporary names end in a running number: learn the current one and occupy the three that
  // follow.
  std::string name;
  {
    AtomicFile probe(Path("result"));
    name = *NamesIn(folder_.path()).begin();
  }
  const size_t digits = name.rfind('.') + 1;
  const int number = std::stoi(name.substr(digits));
  for (int i = 1; i <= 3; ++i)
    std::ofstream(Path(name.substr(0, digits) + std::to_string(number + i))) << "stale";
  WriteFileAtomically(Path("result"), "written");
  EXPECT_EQ(ReadFile(Path("result")), "written");
  EXPECT_EQ(NamesIn(folder_.path()).size(), 4u);
}

TEST_F(Files, OnlyATemporaryThatNobodyWritesIsAbandoned) {
  AtomicFile alive(Path("result"));
  alive.Write("half");
  EXPECT_FALSE(RemoveAbandoned(alive.temporary()));
  WriteFileAtomically(Path("result.tmp.4711.0"), "of a process that was killed");
  EXPECT_TRUE(RemoveAbandoned(Path("result.tmp.4711.0")));
  EXPECT_FALSE(RemoveAbandoned(Path("result.tmp.4711.0")));  // it is gone
  alive.Commit();
  EXPECT_EQ(ReadFile(Path("result")), "half");
}

TEST_F(Files, ATemporaryNameTellsWhoseItIs) {
  const AtomicFile file(Path("a.tmp.b"));
  EXPECT_EQ(NameOfTemporary(file.temporary().filename().string()), "a.tmp.b");
  for (const char* other : {"a", "a.tmp.", "a.tmp.x", ".tmp.1.2", "a.tmp.1.2x", ""})
    EXPECT_EQ(NameOfTemporary(other), "") << other;
}

TEST_F(Files, PartsAreWrittenOneAfterAnotherHoweverManyTheyAre) {
  std::string expected;
  std::vector<std::string> texts;
  for (size_t i = 0; i < 200; ++i) expected += texts.emplace_back(i % 7, static_cast<char>('a' + i % 26));
  texts.push_back(std::string(40'000'000, 'x'));  // larger than what is written at once
  texts.push_back("end");
  expected += texts[200] + texts[201];
  std::vector<std::span<const std::byte>> parts;
  for (const std::string& text : texts) parts.push_back(std::as_bytes(std::span(text)));
  AtomicFile file(Path("result"));
  file.Reserve(static_cast<int64_t>(expected.size()));
  file.WriteParts(parts);
  const FileDigest digest = file.digest();
  EXPECT_EQ(digest.bytes, static_cast<int64_t>(expected.size()));
  EXPECT_EQ(digest.hash, Hash64(std::as_bytes(std::span(expected))));
  file.Commit();
  EXPECT_EQ(ReadFile(Path("result")), expected);
}

TEST_F(Files, WhatIsReservedAndNotWrittenIsNotPartOfTheFile) {
  AtomicFile file(Path("result"), AtomicFile::Hashing::kNone);
  file.Reserve(100'000);
  file.Write("short");
  EXPECT_EQ(file.digest(), (FileDigest{5, 0}));
  file.Commit();
  EXPECT_EQ(ReadFile(Path("result")), "short");
}

TEST_F(Files, AnAtomicFileObeysTheUmask) {
  const mode_t previous = ::umask(027);
  WriteFileAtomically(Path("result"), "");
  ::umask(previous);
  EXPECT_EQ(fs::status(Path("result")).permissions(), fs::perms{0640});
}

TEST_F(Files, UseAfterCommitIsABug) {
  AtomicFile file(Path("result"));
  file.Commit();
  EXPECT_THROW(file.Write("late"), CheckFailed);
  EXPECT_THROW(file.Commit(), CheckFailed);
}

TEST_F(Files, OnlyWriteFileAtomicallyCreatesTheFolder) {
  const std::string message = DataErrorOf([&] { AtomicFile file(Path("missing/result")); });
  EXPECT_THAT(message, HasSubstr(Path("missing/result").string()));
  EXPECT_THAT(message, HasSubstr("No such file or directory"));
  EXPECT_FALSE(fs::exists(Path("missing")));
  WriteFileAtomically(Path("missing/deep/result"), "text");
  EXPECT_EQ(ReadFile(Path("missing/deep/result")), "text");
}

TEST_F(Files, ANameWithoutAFolderMeansTheCurrentFolder) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  WriteFileAtomically("plain", "text");
  fs::current_path(before);
  EXPECT_EQ(ReadFile(Path("plain")), "text");
}

TEST_F(Files, AFolderThatForbidsWritingIsADataError) {
  const uid_t user = ::geteuid();
  fs::permissions(folder_.path(), fs::perms::owner_read | fs::perms::owner_exec);
  if (user == 0) {
    ASSERT_EQ(::seteuid(65534), 0);  // root may write everywhere; "nobody" may not
  }
  const std::string message = DataErrorOf([&] { AtomicFile file(Path("result")); });
  if (user == 0) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  fs::permissions(folder_.path(), fs::perms::owner_all);
  EXPECT_THAT(message, HasSubstr("cannot create " + Path("result").string()));
  EXPECT_THAT(message, HasSubstr("Permission denied"));
}

TEST_F(Files, AFolderThatIsAFileIsADataErrorForEveryone) {
  WriteFileAtomically(Path("file"), "");
  EXPECT_THAT(DataErrorOf([&] { AtomicFile file(Path("file/result")); }),
              HasSubstr("Not a directory"));
  EXPECT_THAT(DataErrorOf([&] { WriteFileAtomically(Path("file/deep/result"), ""); }),
              HasSubstr("Not a directory"));
}

TEST_F(Files, AFolderInThePlaceOfTheFileFailsAndLeavesNoTemporary) {
  fs::create_directory(Path("result"));
  EXPECT_THAT(DataErrorOf([&] { WriteFileAtomically(Path("result"), "text"); }),
              HasSubstr("directory"));
  EXPECT_EQ(NamesIn(folder_.path()), std::set<std::string>{"result"});
  EXPECT_THROW(AtomicFile(Path("")), DataError);
}

TEST_F(Files, AFullDiskIsADataErrorThatNamesTheFileAndKeepsTheOldContent) {
  WriteFileAtomically(Path("result"), "old");
  // A limit on the size of files stands in for a full disk: write() fails the same way, with
  // another errno.
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit small{1000, limit.rlim_max};
  auto* const previous = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message =
      DataErrorOf([&] { WriteFileAtomically(Path("result"), std::string(5000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, previous);
  EXPECT_THAT(message, HasSubstr("cannot write " + Path("result").string() + ": File too large"));
  EXPECT_EQ(ReadFile(Path("result")), "old");
  EXPECT_EQ(NamesIn(folder_.path()), std::set<std::string>{"result"});
}

TEST_F(Files, AReaderNeverSeesAHalfWrittenFile) {
  const std::string a(200'000, 'a'), b(300'000, 'b');
  WriteFileAtomically(Path("result"), a);
  std::jthread writer([&] {
    for (int i = 0; i < 20; ++i) WriteFileAtomically(Path("result"), i % 2 == 0 ? b : a);
  });
  for (int i = 0; i < 100; ++i) {
    const std::string seen = ReadFile(Path("result"));
    ASSERT_TRUE(seen == a || seen == b) << seen.size();
  }
}

TEST_F(Files, ReadFileReturnsAllBytesIncludingNul) {
  std::string content(70'000, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31);
  WriteFileAtomically(Path("bytes"), content);
  EXPECT_EQ(ReadFile(Path("bytes")), content);
  WriteFileAtomically(Path("empty"), "");
  EXPECT_EQ(ReadFile(Path("empty")), "");
}

TEST_F(Files, ReadFileReadsFilesWhoseSizeIsNotKnown) {
  EXPECT_THAT(ReadFile("/proc/self/status"), HasSubstr("Pid:"));  // fstat says 0 bytes
}

TEST_F(Files, ReadingAMissingFileOrAFolderIsADataError) {
  EXPECT_THAT(DataErrorOf([&] { ReadFile(Path("gone")); }), HasSubstr("No such file or directory"));
  EXPECT_THAT(DataErrorOf([&] { ReadFile(folder_.path()); }), HasSubstr("Is a directory"));
  EXPECT_THAT(DataErrorOf([&] { MappedFile file(Path("gone")); }),
              HasSubstr(Path("gone").string()));
  EXPECT_THAT(DataErrorOf([&] { MappedFile file(folder_.path()); }), HasSubstr("Is a directory"));
}

TEST_F(Files, AMappedFileShowsTheBytesAndMovesWithoutCopying) {
  WriteFileAtomically(Path("bytes"), "mapped");
  MappedFile file(Path("bytes"));
  const std::byte* address = file.bytes().data();
  MappedFile moved(std::move(file));
  EXPECT_EQ(moved.bytes().data(), address);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(moved.bytes().data()), moved.bytes().size()),
            "mapped");
  EXPECT_TRUE(file.bytes().empty());  // NOLINT: the moved-from state is what is tested
}

TEST_F(Files, AnEmptyFileMapsToAnEmptySpan) {
  WriteFileAtomically(Path("empty"), "");
  EXPECT_TRUE(MappedFile(Path("empty")).bytes().empty());
}

TEST_F(Files, AMappingOutlivesTheReplacementOfItsFile) {
  WriteFileAtomically(Path("bytes"), "old");
  const MappedFile file(Path("bytes"));
  WriteFileAtomically(Path("bytes"), "new");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file.bytes().data()), 3), "old");
}

TEST(TemporaryFolder, IsFreshAndGoesAwayWithItsContent) {
  fs::path path;
  {
    const TemporaryFolder folder, other;
    path = folder.path();
    EXPECT_NE(path, other.path());
    EXPECT_THAT(NamesIn(path), IsEmpty());
    WriteFileAtomically(path / "deep" / "file", "x");
  }
  EXPECT_FALSE(fs::exists(path));
}

uint64_t HashOf(std::string_view text) {
  return Hash64(std::as_bytes(std::span(text.data(), text.size())));
}

TEST(Hash64Stream, OfPartsIsThatOfTheWhole) {
  const std::string text(1000, 't');
  Hash64Stream stream;
  for (size_t at = 0; at < text.size(); at += 37)
    stream.Update(std::as_bytes(std::span(text)).subspan(at, std::min<size_t>(37, text.size() - at)));
  EXPECT_EQ(stream.digest(), Hash64(std::as_bytes(std::span(text))));
  stream.Reset();
  EXPECT_EQ(stream.digest(), Hash64({}));
}

TEST(Hash64, MatchesPublishedVectorsOfXxh64) {
  EXPECT_EQ(HexHash(HashOf("")), "ef46db3751d8e999");
  EXPECT_EQ(HexHash(HashOf("a")), "d24ec4f1a98c6e5b");
  EXPECT_EQ(HexHash(HashOf("abc")), "44bc2cf5ad770999");
}

TEST(HexHash, HasSixteenDigitsWithLeadingZeros) {
  EXPECT_EQ(HexHash(0), "0000000000000000");
  EXPECT_EQ(HexHash(0x0123456789ABCDEFu), "0123456789abcdef");
}

}  // namespace
}  // namespace basin::base
