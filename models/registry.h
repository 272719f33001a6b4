// The table of architectures.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/classifier.h"

namespace basin::models {

std::vector<std::string> ModelNames();

/// ConfigError: unknown name (with the nearest), an input smaller than the network allows (says what it allows), width that
/// leaves a layer without units. Weights are those of InitialiseWeights with seed 0 until that is called.
std::shared_ptr<Classifier> MakeModel(const ModelOptions& options, const InputShape& input, int64_t classes);

/// Draws all weights from the stream (run_seed, kInitialWeights, member, tensor index): torchvision's rule for ResNet and VGG
/// (convolutions: Kaiming normal, fan out), PyTorch's default for mlp and convnet (uniform +-1/sqrt(fan in)). Norm gains 1, biases 0.
/// A network from a file keeps the file's.
void InitialiseWeights(Classifier& model, uint64_t run_seed, uint64_t member);

}  // namespace basin::models
