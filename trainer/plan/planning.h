// basin plan: from a configuration file to what every strategy would cost.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "trainer/plan/plan.h"

namespace basin::trainer {

struct PlanRequest {
  std::filesystem::path config_file;
  std::vector<std::string> overrides{};  ///< KEY=VALUE
  std::optional<int> members{};          ///< instead of population.members
  std::optional<comm::Link> link{};      ///< none: that of comm.emulate, where there is one
  bool probe = false;                    ///< measure it here: under mpirun between its processes, alone between threads
  std::optional<double> budget{};        ///< bytes a rank
  bool budget_is_a_step = false;         ///< of one step, not of the run
};

struct Planned {
  RunConfig config;
  RunShape shape;
  bool data_as_published = false;  ///< its files are not here
  std::optional<comm::Link> link{};
  std::optional<ProbedTimes> probed{};
  std::vector<PlannedStrategy> strategies{};
  std::optional<double> budget{};  ///< bytes a rank and run
  std::vector<FittedStrategy> fitted{};
  base::Json AsJson() const;
};

/// Reads the configuration, and the data set only where its size is not known otherwise; trains nothing and writes nothing. Under
/// mpirun every process calls; only rank 0 gets the plan. ConfigError, DataError as `basin train`; ConfigError where the launcher's
/// processes are not as many as the members that are to be probed.
std::optional<Planned> PlanRun(const PlanRequest& request);

}  // namespace basin::trainer
