#include "trainer/plan/planning.h"

#include <cstdlib>

#include "base/error.h"
#include "comm/emulated.h"
#include "comm/factory.h"
#include "comm/in_process.h"
#include "comm/mpi.h"
#include "data/registry.h"
#include "trainer/agreement.h"
#include "trainer/loop.h"
#include "trainer/plan/probe.h"

namespace basin::trainer {
namespace {

Planned Prepare(const PlanRequest& request) {
  std::vector<std::string> overrides = request.overrides;
  if (request.members) overrides.push_back(Text("population.members=", *request.members));
  Planned planned{.config = ReadRunConfig(request.config_file, overrides)};
  const data::DatasetOutline outline = data::OutlineDataset(planned.config.data);
  planned.data_as_published = outline.as_published;
  CheckAgainstData(planned.config, *outline.dataset);
  Member member(planned.config, *outline.dataset, 0, torch::kCPU);
  planned.shape = ShapeOf(planned.config, *outline.dataset, member);
  planned.link = request.link ? request.link : planned.config.comm.emulate;
  if (request.budget) {
    const auto steps = static_cast<double>(planned.shape.total_steps);
    planned.budget = request.budget_is_a_step ? *request.budget * steps : *request.budget;
  }
  return planned;
}

/// Over `comm`, or the link that is imitated over it.
ProbedTimes ProbeOver(comm::Communicator& comm, const Planned& planned) {
  const base::SystemClock clock;
  std::unique_ptr<comm::Communicator> emulated;
  if (planned.link) emulated = comm::MakeEmulated(comm, *planned.link, clock);
  const auto state = static_cast<double>(planned.shape.num_parameters + planned.shape.num_statistics);
  return Probe(emulated ? *emulated : comm, comm, clock, state * sizeof(float));
}

void CheckProcesses(const RunConfig& config, int size) {
  if (config.population.members == size) return;
  throw ConfigError(Text("population.members is ", config.population.members, ", but the launcher started ", size,
                         " processes; a probe needs one for each member: mpirun -n ", config.population.members, ", or --members ", size));
}

/// The plan before anything is computed from it; none on ranks that only help to measure.
std::optional<Planned> Measure(const PlanRequest& request, const comm::LaunchInfo& launch) {
  if (launch.launcher != "none" && !request.probe) return launch.rank == 0 ? std::optional(Prepare(request)) : std::nullopt;
  if (launch.launcher == "none") {
    Planned planned = Prepare(request);
    if (!request.probe) return planned;
    comm::RunInProcess(
        planned.config.population.members,
        [&](comm::Communicator& comm) {
          ProbedTimes times = ProbeOver(comm, planned);
          if (comm.rank() == 0) planned.probed = std::move(times);
        },
        planned.config.comm.timeout);
    return planned;
  }
  comm::MpiSession session;
  const auto comm = comm::MakeMpi(session, std::chrono::minutes(5));
  Planned planned;
  try {
    OnAllRanks(*comm, [&] {
      planned = Prepare(request);
      CheckProcesses(planned.config, comm->size());
    });
  } catch (const Error&) {
    if (comm->rank() == 0) throw;
    return std::nullopt;  // all failed alike, and rank 0 tells
  }
  comm->SetTimeout(planned.config.comm.timeout);
  planned.probed = ProbeOver(*comm, planned);
  return comm->rank() == 0 ? std::optional(std::move(planned)) : std::nullopt;
}

}  // namespace

std::optional<Planned> PlanRun(const PlanRequest& request) {
  const comm::LaunchInfo launch = comm::ReadLaunchInfo([](const char* name) { return std::getenv(name); });
  std::optional<Planned> planned = Measure(request, launch);
  if (!planned) return planned;
  std::unique_ptr<CallTimes> times;
  if (planned->probed) {
    times = std::make_unique<ProbedTimes>(*planned->probed);
  } else if (planned->link) {
    times = std::make_unique<LinkTimes>(*planned->link);
  }
  planned->strategies = PlanStrategies(planned->config, planned->shape, times.get());
  if (planned->budget) planned->fitted = FitStrategies(planned->config, planned->shape, *planned->budget);
  return planned;
}

base::Json Planned::AsJson() const {
  const auto steps = static_cast<double>(shape.total_steps);
  base::Json rows = base::Json::array(), fits = base::Json::array();
  for (const PlannedStrategy& row : strategies) {
    const Forecast& f = row.forecast;
    rows.push_back({{"name", StrategyName(row.options)},
                    {"configured", row.configured},
                    {"settings", StrategyText(row.options)},
                    {"known", f.is_known},
                    {"exchanges", f.exchanges},
                    {"bytes_per_rank", f.bytes_per_rank},
                    {"bytes_stddev", f.bytes_stddev},
                    {"bytes_per_step", f.bytes_per_rank / steps},
                    {"messages_per_rank", f.messages_per_rank},
                    {"seconds", row.seconds ? base::Json(*row.seconds) : base::Json()},
                    {"transfer_seconds", row.transfer_seconds ? base::Json(*row.transfer_seconds) : base::Json()},
                    {"seconds_per_step", row.seconds ? base::Json(*row.seconds / steps) : base::Json()},
                    {"memory_bytes", row.peak_bytes}});
  }
  for (const FittedStrategy& row : fitted) {
    base::Json fit{{"name", StrategyName(row.options)}, {"fits", row.refusal.empty()}};
    if (row.refusal.empty()) {
      fit.update({{"settings", StrategyText(row.options)},
                  {"how", row.how},
                  {"bytes_per_rank", row.forecast.bytes_per_rank},
                  {"exchanges", row.forecast.exchanges}});
    } else {
      fit["reason"] = row.refusal;
    }
    fits.push_back(std::move(fit));
  }
  return {{"members", shape.members},
          {"steps", shape.total_steps},
          {"parameters", shape.num_parameters},
          {"data_as_published", data_as_published},
          {"link", link ? base::Json{{"latency_s", link->latency}, {"bytes_per_second", link->bytes_per_second}} : base::Json()},
          {"probe", probed ? probed->AsJson() : base::Json()},
          {"strategies", std::move(rows)},
          {"budget", budget ? base::Json{{"bytes_per_rank", *budget}, {"strategies", std::move(fits)}} : base::Json()}};
}

}  // namespace basin::trainer
