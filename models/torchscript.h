// Networks from TorchScript files: whatever PyTorch can script or trace is trained, exchanged and averaged like the built-in ones.
// Names of tensors are those of the file (Python's state_dict). The units of such a network are not known, so what aligns,
// listens to or corrects single layers refuses it; batch norm's statistics are recomputed as everywhere.
#pragma once

#include <memory>

#include "models/classifier.h"

namespace basin::models {

/// Its name under model.name.
inline constexpr const char* kTorchScript = "torchscript";

/// options.path: written by torch.jit.save. Its weights are the initial ones. ConfigError naming the file: it is missing or no
/// TorchScript, has no trainable float32 weights, trainable ones of another type, or random numbers of its own (dropout: they
/// come from PyTorch's global generator, so that neither a resumed run nor a comparison could have them again), or does not
/// turn [n, C, H, W] of this input into [n, classes]. DataError: a value is not finite.
std::shared_ptr<Classifier> MakeTorchScript(const ModelOptions& options, const InputShape& input, int64_t classes);

}  // namespace basin::models
