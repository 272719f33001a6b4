// A YAML file as plain structs: everything a run depends on, checked, with defaults in place.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/factory.h"
#include "coordinator/types.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "models/classifier.h"
#include "trainer/faults.h"
#include "trainer/strategy_options.h"

namespace basin::trainer {

struct OptimizerOptions {
  enum class Kind { kSgd, kAdam, kAdamW } kind = Kind::kSgd;
  double lr = 0.1;              ///< >= 0; the YAML default is 0.1 for sgd, 0.001 for adam and adamw
  double momentum = 0.9;        ///< sgd, [0, 1)
  bool nesterov = false;        ///< sgd
  double weight_decay = 1e-4;   ///< >= 0; sgd, adam: added to the gradient; adamw: decoupled
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  ///< adam, adamw
};

struct ScheduleOptions {
  enum class Kind { kConstant, kCosine, kMultistep, kLinear } kind = Kind::kCosine;
  int64_t warmup_steps = 0;     ///< linear from lr / warmup_steps to lr
  std::optional<double> final_lr{};  ///< cosine, linear: lr at the end of training; none: the smaller of 1e-4 and lr
  std::vector<double> milestones{0.5, 0.75};  ///< multistep: shares of training
  double gamma = 0.1;           ///< multistep: factor at each milestone
};

enum class Precision { kFloat32, kBfloat16 };

struct TrainOptions {
  std::optional<int64_t> epochs{};  ///< exactly one of epochs and steps; default 10 epochs
  std::optional<int64_t> steps{};
  int64_t batch_size = 128;
  OptimizerOptions optimizer{};
  ScheduleOptions schedule{};
  double label_smoothing = 0;   ///< [0, 1)
  Precision precision = Precision::kFloat32;
};

/// What one member does differently: complete, resolved options (the override laid over the common section).
struct MemberOptions {
  TrainOptions train;
  data::Augmentations augment;
};

enum class Init { kSame, kDifferent };
enum class DeviceChoice { kAuto, kCpu, kCuda };

struct PopulationOptions {
  int members = 4;              ///< >= 1
  Init init = Init::kSame;
  int threads_per_member = 1;
  DeviceChoice device = DeviceChoice::kAuto;
};

struct EvaluateOptions {
  int64_t every_epochs = 1;     ///< 0: only at the end
  int64_t batch_size = 1000;
  int64_t recalibrate_batches = 50;  ///< batches of batch_size training images for batch-norm statistics; all data when smaller
};

struct LmcOptions {
  enum class Pairs { kAll, kFirst, kNone } pairs = Pairs::kAll;  ///< first: (0, m) only
  int points = 25;              ///< >= 2
  bool train = true, test = true;
  int64_t train_limit = 10000;  ///< first K training images of the curve on train
};

struct ReportOptions {
  bool tensorboard = true, html = true, trace = false;
  enum class Progress { kAuto, kOn, kOff } progress = Progress::kAuto;
};

struct CheckpointOptions {
  int64_t every_steps = 0;
  int64_t keep = 2;
};

/// The control plane: who is alive, and what happens when somebody is not.
struct CoordinatorOptions {
  std::string address = "embedded";   ///< in rank 0, on the loopback; or HOST:PORT of a basin-coordinator; or none
  std::chrono::milliseconds heartbeat{2000};
  coordinator::OnLoss on_loss = coordinator::OnLoss::kAbort;
  std::chrono::milliseconds timeout{10000};  ///< of silence, in training; other phases are allowed multiples
  std::optional<coordinator::Tls> tls{};
  bool finish_with_lost = true;  ///< on_loss continue: a lost member's last checkpoint takes part in the finish
};

struct RunConfig {
  std::string origin{};                   ///< names the file in messages
  std::string name = "run";
  std::filesystem::path dir = "runs/run";  ///< relative to the working directory; default: runs/<name>
  uint64_t seed = 1;
  PopulationOptions population{};
  data::DataOptions data{};               ///< path resolved against the configuration file's folder; seed = run seed
  data::Augmentations augment{};          ///< the common section
  std::optional<data::AugmentPool> augment_pool{};
  models::ModelOptions model{};
  TrainOptions train{};                   ///< the common section
  std::vector<MemberOptions> members{};   ///< one a member: common section, then pool draw, then override
  std::vector<int> overridden{};          ///< members with an override, ascending
  StrategyOptions strategy = WashOptions{};
  comm::CommOptions comm{};
  EvaluateOptions evaluate{};
  LmcOptions lmc{};
  CheckpointOptions checkpoint{};
  CoordinatorOptions coordinator{};
  ReportOptions report{};
  std::vector<FaultOptions> faults{};
};

/// Reads a file, lays `overrides` ("train.optimizer.lr=0.2": dotted path, YAML value) over it, checks everything that can be
/// checked without data. Throws one ConfigError that lists ALL problems, each as `file:line: key: what was found, what is allowed
/// (did you mean ...?)`. A file that is missing, empty or not YAML: ConfigError with path and position.
RunConfig ReadRunConfig(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});
/// The same from text; `origin` names it in messages, data paths are relative to `folder`.
RunConfig ParseRunConfig(const std::string& text, const std::string& origin, const std::filesystem::path& folder,
                         const std::vector<std::string>& overrides = {});

/// Cross-checks that need the data set: batch sizes against its size. ConfigError with all problems. (Whether the network takes its
/// images, models::MakeModel checks; data.normalize against its channels, data::LoadDataset.)
void CheckAgainstData(const RunConfig& config, const data::Dataset& dataset);

/// The effective configuration as YAML that ReadRunConfig accepts: every key of the contract, defaults filled in, paths absolute.
std::string ToYaml(const RunConfig& config);
/// Every strategy with its default keys, in the order of StrategyNames.
std::vector<StrategyOptions> DefaultStrategies();
/// The section of a strategy in one line, as --set strategy=... takes it: {name: wash, p: 0.001, ...}.
std::string StrategyText(const StrategyOptions& options);
/// ToYaml with run.name, run.dir, population.device, comm, checkpoint, coordinator, report and faults at their defaults: what weights and
/// results depend on. A run may be resumed with these keys changed, and with no others.
std::string ComparableYaml(const RunConfig& config);
/// xxh64 (hex) of ComparableYaml: equal when the weights must be equal.
std::string ConfigHash(const RunConfig& config);

}  // namespace basin::trainer
