// One training step, as a member takes it: forward, cross entropy, backward, SGD with momentum on the flat vectors. Synthetic
// data, one thread. Prints one JSON line; bench/peers/step.py is the same step in PyTorch, bench/step.sh sets them side by side.
#include <ATen/Parallel.h>
#include <ATen/ops/_fused_sgd.h>
#include <sys/resource.h>
#include <torch/types.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/seed.h"
#include "models/flat_params.h"
#include "models/registry.h"

namespace basin {
namespace {

struct Options {
  std::string model = "resnet20", format = "preferred";  // preferred | contiguous | channels_last
  int64_t batch = 128, size = 32, steps = 20, warmup = 3;
  bool keep_memory = true;
};

Options ParseOptions(int argc, char** argv) {
  Options options;
  const std::map<std::string, int64_t*> numbers = {
      {"--batch", &options.batch}, {"--size", &options.size}, {"--steps", &options.steps}, {"--warmup", &options.warmup}};
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) throw ConfigError(name + " needs a value");
    const std::string value = argv[i + 1];
    if (name == "--model") {
      options.model = value;
    } else if (name == "--format") {
      options.format = value;
    } else if (name == "--keep-memory") {
      options.keep_memory = value != "no";
    } else if (numbers.contains(name)) {
      *numbers.at(name) = std::stoll(value);
    } else {
      throw ConfigError(name + " is not known; allowed: --model --batch --size --steps --warmup --format --keep-memory");
    }
  }
  return options;
}

torch::Tensor RandomImages(const Options& options, bool channels_last) {
  base::Stream stream({1, base::Purpose::kTest});
  torch::Tensor images = torch::empty({options.batch, 3, options.size, options.size});
  float* pixels = images.mutable_data_ptr<float>();
  for (int64_t i = 0; i < images.numel(); ++i) pixels[i] = static_cast<float>(stream.NextNormal());
  return channels_last ? images.contiguous(torch::MemoryFormat::ChannelsLast) : images;
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec); };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

class Trial {
 public:
  Trial(const Options& options, models::Classifier& model, bool channels_last)
      : model_(model), params_(model), momentum_(torch::zeros_like(params_.values())),
        images_(RandomImages(options, channels_last)), labels_(torch::arange(options.batch).remainder(10)) {
    model_.train();
  }

  void Step() {
    params_.gradients().zero_();
    const torch::Tensor loss = torch::cross_entropy_loss(model_.forward(images_), labels_);
    loss.backward();
    const torch::NoGradGuard no_grad;
    at::_fused_sgd_({params_.values()}, {params_.gradients()}, {momentum_}, /*weight_decay=*/1e-4, /*momentum=*/0.9, /*lr=*/1e-3,
                    /*dampening=*/0, /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false);
    loss_ = loss.item<double>();
  }
  double loss() const { return loss_; }

 private:
  models::Classifier& model_;
  models::FlatParams params_;
  torch::Tensor momentum_, images_, labels_;
  double loss_ = 0;
};

void Run(const Options& options) {
  if (options.keep_memory) base::KeepFreedMemory();
  at::set_num_threads(1);
  const auto model = models::MakeModel({.name = options.model}, {3, options.size, options.size}, 10);
  const bool channels_last = options.format == "preferred" ? model->prefers_channels_last() : options.format == "channels_last";
  Trial trial(options, *model, channels_last);
  for (int64_t i = 0; i < options.warmup; ++i) trial.Step();
  std::vector<double> wall, cpu;
  const base::SystemClock clock;
  for (int64_t i = 0; i < options.steps; ++i) {
    const double cpu_before = CpuSeconds();
    const base::Stopwatch watch(clock);
    trial.Step();
    wall.push_back(watch.Seconds());
    cpu.push_back(CpuSeconds() - cpu_before);
  }
  base::Json line = {{"who", "basin"}, {"model", options.model}, {"batch", options.batch}, {"size", options.size},
                     {"format", channels_last ? "channels_last" : "contiguous"}, {"best_ms", 1e3 * *std::min_element(wall.begin(), wall.end())},
                     {"median_ms", 1e3 * Median(wall)}, {"cpu_best_ms", 1e3 * *std::min_element(cpu.begin(), cpu.end())}, {"loss", trial.loss()}};
  std::cout << line.dump() << std::endl;
}

}  // namespace
}  // namespace basin

int main(int argc, char** argv) {
  try {
    basin::Run(basin::ParseOptions(argc, argv));
  } catch (const std::exception& failure) {
    std::cerr << failure.what() << '\n';
    return 2;
  }
}
