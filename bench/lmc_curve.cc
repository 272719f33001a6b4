// Loss and accuracy at evenly spaced points of the line between two networks, on synthetic test images, one thread. Prints one
// JSON line; bench/peers/lmc_curve.py is the same curve as a plain PyTorch loop, bench/lmc_curve.sh sets them side by side.
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <iostream>

#include "base/json.h"
#include "base/memory.h"
#include "base/seed.h"
#include "bench/measure.h"
#include "models/registry.h"
#include "trainer/lmc.h"

namespace basin {
namespace {

data::Dataset RandomImages(int64_t count, int64_t channels, int64_t size) {
  base::Stream stream({1, base::Purpose::kTest});
  data::Dataset dataset{.name = "random", .classes = 10};
  torch::Tensor images = torch::empty({count, channels, size, size}, torch::kUInt8);
  auto* pixels = images.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < images.numel(); ++i) pixels[i] = static_cast<uint8_t>(stream.NextU32() & 255);
  dataset.test = {images, torch::arange(count).remainder(10)};
  dataset.train = dataset.test;  // statistics are recomputed on as many
  dataset.normalisation = {std::vector<double>(channels, 0.5), std::vector<double>(channels, 0.29)};
  return dataset;
}

void Run(const bench::Options& given) {
  base::KeepFreedMemory();
  at::set_num_threads(1);
  const std::string name = given.Get("--model", "mlp");
  const auto number = [&](const char* option, const char* fallback) { return std::stoll(given.Get(option, fallback)); };
  const int64_t channels = number("--channels", "1"), size = number("--size", "28"), images = number("--images", "10000");
  const data::Dataset dataset = RandomImages(images, channels, size);
  const models::ModelOptions options{.name = name, .norm = name == "mlp" ? models::Norm::kNone : models::Norm::kBatch};
  const auto model = models::MakeModel(options, {channels, size, size}, dataset.classes);
  std::vector<models::StateDict> ends;
  for (uint64_t member : {0, 1}) {
    models::InitialiseWeights(*model, 1, member);
    ends.push_back(models::CloneState(models::StateOf(*model)));
  }
  trainer::LmcOptions lmc;
  lmc.points = static_cast<int>(number("--points", "25"));
  lmc.train = false;
  const trainer::Bench bench{.dataset = dataset, .options = {.recalibrate_batches = 10}};
  std::vector<double> seconds;
  for (int64_t round = 0; round < number("--rounds", "2"); ++round) {
    const double start = bench::Now();
    trainer::MeasurePairs(ends, {{0, 1}}, lmc, bench, *model, merge::DoneHere());
    seconds.push_back(bench::Now() - start);
  }
  std::cout << base::Json{{"who", "basin"}, {"model", name}, {"images", images}, {"points", lmc.points},
                          {"seconds", *std::ranges::min_element(seconds)}}
                   .dump()
            << std::endl;
}

}  // namespace
}  // namespace basin

int main(int argc, char** argv) {
  basin::Run(basin::bench::Options(argc, argv, {"--model", "--channels", "--size", "--images", "--points", "--rounds"}));
}
