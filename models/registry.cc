#include "models/registry.h"

#include <array>
#include <cmath>
#include <map>
#include <string_view>

#include "base/error.h"
#include "base/nearest.h"
#include "base/seed.h"
#include "models/convnet.h"
#include "models/layers.h"
#include "models/mlp.h"
#include "models/resnet.h"
#include "models/torchscript.h"
#include "models/vgg.h"

namespace basin::models {
namespace {

struct Architecture {
  std::string_view name;
  int64_t smallest_side;  // pixels
  std::shared_ptr<Classifier> (*make)(const ModelOptions&, const InputShape&, int64_t classes);
};

constexpr std::array<Architecture, 14> kArchitectures = {{
    {"mlp", 1, MakeMlp},
    {"convnet", 16, MakeConvNet},
    {"vgg11", 32, MakeVgg},
    {"vgg13", 32, MakeVgg},
    {"vgg16", 32, MakeVgg},
    {"vgg19", 32, MakeVgg},
    {"resnet20", 8, MakeResNet},
    {"resnet32", 8, MakeResNet},
    {"resnet44", 8, MakeResNet},
    {"resnet56", 8, MakeResNet},
    {"resnet18", 32, MakeResNet},
    {"resnet34", 32, MakeResNet},
    {"resnet50", 32, MakeResNet},
    {kTorchScript, 1, MakeTorchScript},
}};

const Architecture& Find(const std::string& name) {
  for (const Architecture& row : kArchitectures) {
    if (row.name == name) return row;
  }
  const std::vector<std::string> names = ModelNames();
  const std::string nearest = base::NearestName(name, names);
  throw ConfigError(Text("model.name is '", name, "', which is not known", nearest.empty() ? "" : "; did you mean '" + nearest + "'?",
                         " Allowed: ", base::JoinNames(names)));
}

void CheckOptions(const Architecture& row, const ModelOptions& options, const InputShape& input, int64_t classes) {
  if (!(options.width > 0) || !std::isfinite(options.width)) {
    throw ConfigError(Text("model.width is ", options.width, "; it must be a number above 0"));
  }
  if (options.path.empty() == (row.name == kTorchScript)) {
    throw ConfigError(row.name == kTorchScript ? "model.path is missing; torchscript is read from a file" : Text("model.path is for torchscript; leave it out"));
  }
  if (!options.hidden.empty() && row.name != "mlp") {
    throw ConfigError(Text("model.hidden is for mlp; ", row.name, " takes its sizes from model.width. Leave it out"));
  }
  for (const int64_t units : options.hidden) {
    if (units < 1) throw ConfigError(Text("model.hidden has a layer of ", units, " units; each needs at least 1"));
  }
  if (classes < 1 || input.channels < 1) {
    throw ConfigError(Text("the data have ", classes, " classes and ", input.channels, " channels; a network needs at least 1 of each"));
  }
  if (input.height < row.smallest_side || input.width < row.smallest_side) {
    throw ConfigError(Text("model.name is ", row.name, ", which takes images from ", row.smallest_side, "x", row.smallest_side,
                           " pixels on; the data have ", input.height, "x", input.width,
                           ". Choose a smaller network (mlp takes any size) or larger images"));
  }
}

/// Writes draw() into every element, row-major, whatever the device and strides of the parameter.
template <typename Draw>
void Fill(const torch::Tensor& parameter, const Draw& draw) {
  torch::Tensor host = torch::empty(parameter.sizes(), torch::kFloat32);
  float* values = host.mutable_data_ptr<float>();
  for (int64_t i = 0; i < host.numel(); ++i) values[i] = static_cast<float>(draw());
  torch::Tensor(parameter).copy_(host);
}

int64_t FanIn(const torch::Tensor& weight) { return weight.numel() / weight.size(0); }
int64_t FanOut(const torch::Tensor& weight) { return weight.numel() / weight.size(1); }

void FillUniform(const torch::Tensor& parameter, int64_t fan_in, base::Stream& stream) {
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  Fill(parameter, [&] { return bound * (2 * stream.NextDouble() - 1); });
}

void FillNormal(const torch::Tensor& parameter, double deviation, base::Stream& stream) {
  Fill(parameter, [&] { return deviation * stream.NextNormal(); });
}

void DrawWeight(const torch::Tensor& weight, InitialLaw law, base::Stream& stream) {
  const bool is_conv = weight.dim() == 4;
  if (is_conv && law != InitialLaw::kPyTorch) {
    FillNormal(weight, std::sqrt(2.0 / static_cast<double>(FanOut(weight))), stream);
  } else if (law == InitialLaw::kTorchvisionVgg) {
    FillNormal(weight, 0.01, stream);
  } else {
    FillUniform(weight, FanIn(weight), stream);
  }
}

void DrawBias(const HookedLayer& layer, InitialLaw law, base::Stream& stream) {
  const bool is_conv = layer.weight.dim() == 4;
  const bool is_zero = law == InitialLaw::kTorchvisionVgg || (law == InitialLaw::kTorchvisionResNet && is_conv);
  if (is_zero) {
    torch::Tensor(layer.bias).zero_();
  } else {
    FillUniform(layer.bias, FanIn(layer.weight), stream);
  }
}

bool IsBias(const std::string& name) { return name.ends_with("bias"); }

}  // namespace

std::vector<std::string> ModelNames() {
  std::vector<std::string> names;
  for (const Architecture& row : kArchitectures) names.emplace_back(row.name);
  return names;
}

std::shared_ptr<Classifier> MakeModel(const ModelOptions& options, const InputShape& input, int64_t classes) {
  const Architecture& row = Find(options.name);
  CheckOptions(row, options, input, classes);
  std::shared_ptr<Classifier> model = row.make(options, input, classes);
  InitialiseWeights(*model, /*run_seed=*/0, /*member=*/0);
  return model;
}

void InitialiseWeights(Classifier& model, uint64_t run_seed, uint64_t member) {
  if (model.initial_law() == InitialLaw::kFile) return;
  torch::NoGradGuard no_grad;
  std::map<std::string, HookedLayer> layers;
  for (const HookedLayer& layer : HookedLayers(model)) layers.emplace(layer.name, layer);
  uint64_t index = 0;
  for (const auto& item : model.named_parameters()) {
    base::Stream stream({run_seed, base::Purpose::kInitialWeights, member, index++});
    const std::string& name = item.key();
    const auto layer = layers.find(name.substr(0, name.rfind('.')));
    if (layer == layers.end()) {
      torch::Tensor(item.value()).fill_(IsBias(name) ? 0 : 1);  // a norm's
    } else if (IsBias(name)) {
      DrawBias(layer->second, model.initial_law(), stream);
    } else {
      DrawWeight(item.value(), model.initial_law(), stream);
    }
  }
}

}  // namespace basin::models
