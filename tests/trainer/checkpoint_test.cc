// A population of threads that saves itself, stops, and goes on to the same bits.
#include "trainer/checkpoint/checkpoint.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "tests/support/message_of.h"
#include "tests/support/small_run.h"

namespace basin::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Checkpoints : public ::testing::Test {
 protected:
  fs::path Dir(const std::string& name) const { return folder_.path() / name; }
  static std::vector<int64_t> Complete(const test::SmallRun& run) {
    std::vector<int64_t> steps;
    for (const CheckpointEntry& entry : ListCheckpoints(run.dir)) {
      if (entry.complete) steps.push_back(entry.step);
    }
    return steps;
  }
  static void ExpectSame(const test::SmallRun& a, const test::SmallOutcome& of_a, const test::SmallRun& b,
                         const test::SmallOutcome& of_b) {
    EXPECT_EQ(of_a.weights, of_b.weights);
    for (const auto& [rank, ledger] : of_a.ledgers) {
      EXPECT_EQ(ledger.payload_bytes, of_b.ledgers.at(rank).payload_bytes);
      EXPECT_EQ(ledger.messages, of_b.ledgers.at(rank).messages);
      EXPECT_EQ(ledger.calls, of_b.ledgers.at(rank).calls);
      EXPECT_EQ(ledger.exchanges, of_b.ledgers.at(rank).exchanges);
      EXPECT_EQ(a.Records(rank), b.Records(rank));
    }
  }
  base::TemporaryFolder folder_;
};

TEST_F(Checkpoints, AreTakenEverySoManyStepsAndAfterTheLastAndTheNewestAreKept) {
  test::SmallRun run(Dir("run"), {"checkpoint={every_steps: 5, keep: 9}"});
  run.Train();
  EXPECT_THAT(Complete(run), ElementsAre(12, 10, 5));
  test::SmallRun frugal(Dir("frugal"), {"checkpoint={every_steps: 1, keep: 2}"});
  frugal.Train();
  EXPECT_THAT(Complete(frugal), ElementsAre(12, 11));
}

TEST_F(Checkpoints, OfNoneAreNone) {
  test::SmallRun run(Dir("run"));
  run.Train();
  EXPECT_FALSE(fs::exists(run.dir / "checkpoints"));
}

TEST_F(Checkpoints, ChangeNeitherTheBitsNorTheLedger) {
  test::SmallRun without(Dir("without")), with(Dir("with"), {"checkpoint={every_steps: 1, keep: 1}"});
  const auto expected = without.Train(), found = with.Train();
  ExpectSame(without, expected, with, found);
}

class EveryState : public Checkpoints, public ::testing::WithParamInterface<std::vector<std::string>> {};

TEST_P(EveryState, GoesOnToTheSameBitsFromEveryStep) {
  test::SmallRun whole(Dir("whole"), GetParam());
  const auto expected = whole.Train();
  auto set = GetParam();
  set.push_back("checkpoint={every_steps: 1, keep: 99}");
  test::SmallRun parts(Dir("parts"), set);
  parts.Train();
  for (int64_t step = 12; step > 0; --step) {
    const auto point = parts.Find();
    ASSERT_EQ(point->manifest.step, step);
    ExpectSame(whole, expected, parts, parts.Train(point));
    // The run from here has written all later ones anew.
    for (int64_t later = step; later <= 12; ++later) fs::remove_all(parts.dir / "checkpoints" / CheckpointName(later));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Of, EveryState,
    ::testing::Values(std::vector<std::string>{"train.optimizer={name: adam, lr: 0.01}"},
                      std::vector<std::string>{"strategy={p: 0.1, delay_steps: 3, payload: bfloat16, schedule: cosine}",
                                               "population.members=3"},
                      std::vector<std::string>{"strategy={name: sparta, p: 0.1, delay_steps: 5, every_steps: 2, payload: float8}"},
                      std::vector<std::string>{"strategy={name: diloco, every_steps: 3}", "population.members=3"},
                      std::vector<std::string>{"strategy={name: papa-2, every_epochs: 1}", "population.init=different"},
                      std::vector<std::string>{"strategy={name: independent, ema: 0.9}"},
                      std::vector<std::string>{"strategy={name: gossip, every_steps: 2}", "population.members=3",
                                               "train.optimizer={name: sgd, momentum: 0}"}));

TEST_F(Checkpoints, ASignalToOneRankStopsAllAfterTheSameStepWithACheckpoint) {
  test::SmallRun run(Dir("run"), {"train.steps=1000000", "population.members=3"});
  std::map<int, std::atomic<int64_t>> steps;
  for (int rank = 0; rank < 3; ++rank) steps[rank] = 0;
  const std::string text = test::MessageOf<Interrupted>([&] {
    run.Train({}, [&](int rank, int64_t step) {
      steps.at(rank) = step;
      if (rank == 1 && step == 3) run.interrupted = true;
    });
  });
  EXPECT_EQ(steps.at(0).load(), steps.at(1).load());
  EXPECT_EQ(steps.at(0).load(), steps.at(2).load());
  EXPECT_THAT(text, HasSubstr("interrupted after step " + std::to_string(steps.at(0).load())));
  EXPECT_THAT(text, HasSubstr("--resume"));
  EXPECT_THAT(Complete(run), ElementsAre(steps.at(0).load()));
}

TEST_F(Checkpoints, AfterASignalTheRunGoesOnToTheSameBits) {
  test::SmallRun whole(Dir("whole")), parts(Dir("parts"));
  const auto expected = whole.Train();
  EXPECT_THROW(parts.Train({}, [&](int, int64_t step) { parts.interrupted = parts.interrupted || step == 4; }), Interrupted);
  parts.interrupted = false;
  ExpectSame(whole, expected, parts, parts.Train(parts.Find()));
}

TEST_F(Checkpoints, HoldWhatWasInFlightAtASignal) {
  const std::vector<std::string> set{"strategy.delay_steps=10", "strategy.payload=float8_e5m2"};
  test::SmallRun whole(Dir("whole"), set), parts(Dir("parts"), set);
  const auto expected = whole.Train();
  EXPECT_THROW(parts.Train({}, [&](int, int64_t step) { parts.interrupted = parts.interrupted || step == 4; }), Interrupted);
  parts.interrupted = false;
  ExpectSame(whole, expected, parts, parts.Train(parts.Find()));
}

TEST_F(Checkpoints, ThatCannotBeWrittenEndAllRanksAndTheEarlierOnesStay) {
  test::SmallRun run(Dir("run"), {"checkpoint={every_steps: 4, keep: 9}", "train.steps=1000000"});
  const std::string text = test::MessageOf<DataError>([&] {
    run.Train({}, [&](int rank, int64_t step) {
      // A file where the folder of the next checkpoint must go, as good as a full disk.
      if (rank == 0 && step == 6) base::WriteFileAtomically(run.dir / "checkpoints" / CheckpointName(8), "in the way");
    });
  });
  EXPECT_THAT(text, HasSubstr("the checkpoint of step 8 was not written"));
  EXPECT_THAT(text, HasSubstr("--resume"));
  EXPECT_EQ(run.Find()->manifest.step, 4);
}

TEST_F(Checkpoints, HoldTheBitsOfAMemberThatHasDiverged) {
  test::SmallRun whole(Dir("whole"), {"train.optimizer.lr=1e30"}),
      parts(Dir("parts"), {"train.optimizer.lr=1e30", "checkpoint.every_steps=7", "checkpoint.keep=9"});
  const auto expected = whole.Train();
  parts.Train();
  fs::remove_all(parts.dir / "checkpoints" / CheckpointName(12));
  ExpectSame(whole, expected, parts, parts.Train(parts.Find()));
}

}  // namespace
}  // namespace basin::trainer
