#include "tests/support/small_run.h"

#include <ATen/Parallel.h>

#include <numeric>
#include <sstream>

#include "base/files.h"
#include "data/registry.h"

namespace basin::test {

SmallRun::SmallRun(std::filesystem::path run_dir, const std::vector<std::string>& set)
    : config(trainer::ParseRunConfig(R"(
population: {members: 2}
data: {name: shapes, train_limit: 64, test_limit: 20, validation: 0, augment: [flip, {mixup: {alpha: 0.5}}]}
model: {name: convnet, width: 0.25}
train: {steps: 12, batch_size: 16}
strategy: {name: wash, p: 0.1, optimizer_state: true}
evaluate: {batch_size: 20}
comm: {timeout_s: 20}
)", "small.yaml", ".", set)),
      dataset(data::LoadDataset(config.data)),
      dir(std::move(run_dir)) {
  std::filesystem::create_directories(dir);
}

SmallOutcome SmallRun::Train(const std::optional<trainer::ResumePoint>& point, const std::function<void(int, int64_t)>& watch) {
  if (point) trainer::TrimMetrics(dir / "metrics.jsonl", *point);
  trainer::MetricsFile metrics(dir / "metrics.jsonl");
  SmallOutcome outcome;
  std::mutex mutex;
  comm::RunInProcess(
      config.population.members,
      [&](comm::Communicator& comm) {
        at::set_num_threads(1);
        const base::SystemClock clock;
        trainer::Member member(config, *dataset, comm.rank(), comm.device());
        const trainer::RunShape shape = trainer::ShapeOf(config, *dataset, member);
        const auto strategy = trainer::MakeStrategy(config.strategy, shape);
        trainer::MemberState state = member.state();
        strategy->Begin(state, comm);
        comm::CountingCommunicator counting(comm, clock);
        trainer::LoopState start;
        if (point) start = trainer::GoOn(*point, member, *strategy, counting).loop;
        const trainer::RankContext context{.config = config, .dataset = *dataset, .comm = comm, .clock = clock, .metrics = &metrics};
        bool all_know = false;
        trainer::Checkpointer checkpointer(
            context, member, *strategy, counting,
            {.run_dir = dir, .total_steps = shape.total_steps, .first_step = start.step, .interrupted = interrupted}, all_know);
        trainer::Train(context, member, *strategy, counting, start, [&](const trainer::LoopState& at, trainer::MetricsWriter& writer) {
          if (watch) watch(comm.rank(), at.step);
          {
            const std::lock_guard lock(mutex);
            ++outcome.steps[comm.rank()];
          }
          checkpointer.AfterStep(at, writer);
        });
        const std::lock_guard lock(mutex);
        outcome.weights[comm.rank()] = member.params().values_hash();
        outcome.ledgers[comm.rank()] = counting.ledger();
      },
      config.comm.timeout);
  return outcome;
}

std::optional<trainer::ResumePoint> SmallRun::Find() const {
  std::vector<int> ranks(config.population.members);
  std::iota(ranks.begin(), ranks.end(), 0);
  const auto comm = comm::MakeInProcess(comm::MakeInProcessGroup(1), 0, config.comm.timeout);
  return trainer::FindResumePoint(dir, config, ranks, *comm);
}

std::vector<base::Json> SmallRun::Records(int member) const {
  std::vector<base::Json> records;
  std::istringstream text(base::ReadFile(dir / "metrics.jsonl"));
  for (std::string line; std::getline(text, line);) {
    base::Json record = base::Json::parse(line);
    if (record["member"] != member) continue;
    for (const char* time : {"time", "seconds"}) record.erase(time);
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace basin::test
