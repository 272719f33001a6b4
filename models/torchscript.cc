#include "models/torchscript.h"

#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>
#include <exception>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace basin::models {
namespace {

namespace jit = torch::jit;

/// What went wrong, without LibTorch's stack and the interpreter's listing.
std::string Reason(const std::exception& failure) {
  const auto* own = dynamic_cast<const c10::Error*>(&failure);
  std::string text = own != nullptr ? own->what_without_backtrace() : failure.what();
  constexpr std::string_view kMark = "RuntimeError: ";
  if (const size_t mark = text.rfind(kMark); mark != std::string::npos) text = text.substr(mark + kMark.size());
  return text.substr(0, text.find('\n'));
}

[[noreturn]] void Refuse(const ModelOptions& options, const std::string& why) {
  throw ConfigError(Text("model.path: ", options.path.string(), " ", why));
}

jit::Module Load(const ModelOptions& options) {
  if (!std::filesystem::is_regular_file(options.path)) Refuse(options, "is not there (or no file)");
  try {
    return jit::load(options.path.string(), torch::kCPU);
  } catch (const std::exception& failure) {
    Refuse(options, Text("cannot be read as TorchScript (write it with torch.jit.save): ", Reason(failure)));
  }
}

/// The name of an operator below `block` that draws random numbers; empty: there is none.
std::string RandomOperator(const jit::Block& block) {
  constexpr std::array<std::string_view, 8> kRandom{"dropout", "bernoulli", "rand", "normal", "multinomial", "rrelu", "exponential", "uniform"};
  for (const jit::Node* node : block.nodes()) {
    const std::string name = node->kind().toUnqualString();
    for (const std::string_view part : kRandom) {
      if (node->kind().is_aten() && name.find(part) != std::string::npos) return name;
    }
    for (const jit::Block* inner : node->blocks()) {
      if (std::string found = RandomOperator(*inner); !found.empty()) return found;
    }
  }
  return {};
}

void CheckContent(const ModelOptions& options, const jit::Module& script) {
  if (!script.find_method("forward")) Refuse(options, "has no method forward");
  const auto graph = script.get_method("forward").graph()->copy();
  jit::Inline(*graph);
  if (const std::string random = RandomOperator(*graph->block()); !random.empty()) {
    Refuse(options, Text("draws random numbers (", random, "), which no resumed run could have again; leave that layer out of the network"));
  }
  bool has_weights = false;
  for (const auto& parameter : script.named_parameters()) {
    if (!parameter.value.requires_grad()) continue;
    has_weights = true;
    if (parameter.value.scalar_type() != torch::kFloat32)
      Refuse(options, Text("has ", parameter.name, " of type ", parameter.value.scalar_type(), "; trainable weights must be float32"));
  }
  if (!has_weights) Refuse(options, "has no trainable weights (a frozen or optimised file has them as constants)");
  const auto check_finite = [&](const auto& tensors) {
    for (const auto& item : tensors) {
      if (item.value.is_floating_point() && !item.value.isfinite().all().template item<bool>())
        throw DataError(Text("model.path: ", options.path.string(), " has values that are not finite in ", item.name));
    }
  };
  check_finite(script.named_parameters());
  check_finite(script.named_buffers());
}

/// A batch-norm layer of the script and what it adds of a batch to its running statistics.
struct ScriptNorm {
  jit::Module script;
  double momentum = 0;  // 1: the cumulative mean (PyTorch's momentum None)

  torch::Tensor Get(const char* name) const { return script.attr(name).toTensor(); }
  void Set(double statistics) const {
    Get("running_mean").fill_(statistics);
    Get("running_var").fill_(statistics);
    Get("num_batches_tracked").zero_();
  }
};

/// Has exactly the tensors of PyTorch's batch norm.
bool LooksLikeBatchNorm(const jit::Module& script) {
  std::vector<std::string> names;
  for (const auto& item : script.named_buffers(/*recurse=*/false)) names.push_back(item.name);
  std::ranges::sort(names);
  if (names != std::vector<std::string>{"num_batches_tracked", "running_mean", "running_var"}) return false;
  for (const auto& item : script.named_parameters(/*recurse=*/false)) {
    if (item.name != "weight" && item.name != "bias") return false;
  }
  return script.children().size() == 0;
}

void SetTraining(const jit::Module& script, bool on) {
  for (jit::Module module : script.modules()) {
    if (module.hasattr("training")) module.setattr("training", on);
  }
}

torch::Tensor Forward(jit::Module& script, const torch::Tensor& images) {
  // Optimised graphs come after some plain calls, so that a resumed run would add up in another order than an unbroken one.
  const jit::GraphOptimizerEnabledGuard plain(false);
  return script.forward({images}).toTensor();
}

/// The layers whose statistics follow the batches in training. A traced file has them fixed in one mode, which only a trial
/// tells; so does the momentum, which is a constant of the compiled code.
std::vector<ScriptNorm> LivingNorms(jit::Module& script, const torch::Tensor& images) {
  std::vector<ScriptNorm> norms;
  for (const jit::Module& module : script.modules()) {
    if (LooksLikeBatchNorm(module)) norms.push_back({module});
  }
  if (norms.empty()) return norms;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> saved;
  for (const torch::Tensor& buffer : script.buffers()) saved.emplace_back(buffer, buffer.clone());
  SetTraining(script, true);
  std::vector<double> from_zero;
  for (const double start : {0.0, 1.0}) {
    for (const ScriptNorm& norm : norms) norm.Set(start);
    Forward(script, images);
    for (size_t k = 0; k < norms.size(); ++k) {
      const double mean = norms[k].Get("running_mean")[0].item<double>();
      if (start == 0) {
        from_zero.push_back(mean);
      } else {
        norms[k].momentum = std::round(1e5 * (1 - (mean - from_zero[k]))) / 1e5;  // the difference is one of float32
      }
    }
  }
  for (const auto& [buffer, value] : saved) buffer.copy_(value);
  std::erase_if(norms, [](const ScriptNorm& norm) { return norm.momentum <= 0; });
  return norms;
}

/// The script's batch norm for those who reset and recompute statistics. Its tensors take the place of the script's, so that both have the same.
class NormMirror : public torch::nn::BatchNorm2dImpl {
 public:
  explicit NormMirror(ScriptNorm norm)
      : torch::nn::BatchNorm2dImpl(torch::nn::BatchNorm2dOptions(norm.Get("running_mean").numel())
                                       .affine(norm.script.hasattr("weight") && norm.script.attr("weight").isTensor())
                                       .momentum(norm.momentum < 1 ? std::optional(norm.momentum) : std::nullopt)) {
    for (const auto& own : {named_parameters(), named_buffers()}) {
      for (const auto& item : own) TakePlaceOf(norm.script, item.key(), item.value());
    }
  }

 private:
  static void TakePlaceOf(jit::Module& script, const std::string& name, torch::Tensor own) {
    const torch::NoGradGuard no_grad;
    const torch::Tensor old = script.attr(name).toTensor();
    own.copy_(old);
    own.set_requires_grad(old.requires_grad());
    script.setattr(name, own);
  }
};

/// Registers the script's tensors under their names: the same tensors, not copies.
void Mirror(torch::nn::Module& mirror, const jit::Module& script, const std::vector<ScriptNorm>& norms,
            std::vector<std::shared_ptr<NormMirror>>& mirrored) {
  for (const auto& item : script.named_parameters(/*recurse=*/false))
    mirror.register_parameter(item.name, item.value, item.value.requires_grad());
  for (const auto& item : script.named_buffers(/*recurse=*/false)) mirror.register_buffer(item.name, item.value);
  for (const auto& item : script.named_children()) {
    const auto norm = std::ranges::find_if(norms, [&](const ScriptNorm& one) { return one.script._ivalue() == item.value._ivalue(); });
    if (norm != norms.end()) {
      mirrored.push_back(mirror.register_module(item.name, std::make_shared<NormMirror>(*norm)));
    } else {
      Mirror(*mirror.register_module(item.name, std::make_shared<torch::nn::Module>()), item.value, norms, mirrored);
    }
  }
}

class ScriptNetwork final : public Classifier {
 public:
  ScriptNetwork(jit::Module script, const torch::Tensor& sample) : script_(std::move(script)) {
    Mirror(*this, script_, LivingNorms(script_, sample), norms_);
    for (const auto& norm : norms_) momenta_.push_back(norm->options.momentum().value_or(1));
  }

  torch::Tensor forward(const torch::Tensor& images) override {
    const bool cumulative = is_training() && !norms_.empty() && !norms_[0]->options.momentum();
    return cumulative ? CumulativeForward(images) : Forward(script_, images);
  }
  void train(bool on) override {
    Classifier::train(on);
    SetTraining(script_, on);
  }
  PermutationSpec symmetry() const override {
    throw ConfigError("which units of a TorchScript network may be permuted is not known; say so in a file (--symmetry, docs/merging.md), "
                      "or choose what needs no alignment");
  }
  bool layers_are_known() const override { return false; }
  bool prefers_channels_last() const override { return false; }
  InitialLaw initial_law() const override { return InitialLaw::kFile; }

 private:
  /// The compiled code has its momentum fixed; from zero it leaves momentum x the batch's statistics, which are put into the mean here.
  torch::Tensor CumulativeForward(const torch::Tensor& images) {
    const torch::NoGradGuard no_grad;
    std::vector<std::array<torch::Tensor, 3>> before;
    for (const auto& norm : norms_) {
      before.push_back({norm->running_mean.clone(), norm->running_var.clone(), norm->num_batches_tracked.clone()});
      for (const torch::Tensor& buffer : norm->buffers()) buffer.zero_();
    }
    const torch::Tensor logits = Forward(script_, images);
    for (size_t k = 0; k < norms_.size(); ++k) {
      NormMirror& norm = *norms_[k];
      const auto& [mean, var, batches] = before[k];
      norm.num_batches_tracked.copy_(batches + 1);
      const double share = 1 / norm.num_batches_tracked.item<double>();
      norm.running_mean.div_(momenta_[k]).sub_(mean).mul_(share).add_(mean);
      norm.running_var.div_(momenta_[k]).sub_(var).mul_(share).add_(var);
    }
    return logits;
  }

  jit::Module script_;
  std::vector<std::shared_ptr<NormMirror>> norms_;
  std::vector<double> momenta_;  // of norms_, as compiled
};

}  // namespace

std::shared_ptr<Classifier> MakeTorchScript(const ModelOptions& options, const InputShape& input, int64_t classes) {
  const torch::NoGradGuard no_grad;
  jit::Module script = Load(options);
  CheckContent(options, script);
  const std::vector<int64_t> shape{4, input.channels, input.height, input.width};
  const torch::Tensor sample = torch::linspace(-1, 1, 4 * input.channels * input.height * input.width).view(shape);
  try {
    SetTraining(script, false);
    const torch::Tensor logits = Forward(script, sample);
    if (logits.sizes() != at::IntArrayRef{4, classes} || logits.scalar_type() != torch::kFloat32) {
      Refuse(options, Text("makes ", logits.scalar_type(), " ", logits.sizes(), " of images ", sample.sizes(), "; expected: float32 [4, ", classes,
                           "], a logit for each class of the data"));
    }
    return std::make_shared<ScriptNetwork>(std::move(script), sample);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& failure) {
    Refuse(options, Text("fails on images ", sample.sizes(), ": ", Reason(failure)));
  }
}

}  // namespace basin::models
