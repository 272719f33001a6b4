// Signs of collapse in a merged (or pruned) network, beside its parents. Everything in eval mode, over the same images.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "merge/activation_pass.h"

namespace basin::merge {

/// What one ReLU lets through, over all images, units and pixels.
struct ReluActivity {
  std::string after;     ///< the last layer before it, e.g. "layer1.0.conv2"
  double magnitude = 0;  ///< mean value: "activation collapse" of arXiv 2402.05966
  double spread = 0;     ///< mean over images and channels of the population std over pixels (ibid.); NaN without pixels
  double sparsity = 0;   ///< share of exactly zero values (ibid.)
};
/// One Conv2d or Linear layer, the classifier included, by its output before norm and ReLU.
struct LayerActivity {
  std::string name;
  double variance = 0;   ///< mean over units of Var over all values, unbiased (variance ratio of arXiv 2211.08403, Fig. 2)
  double feature = 0;    ///< E = mean over images of |f(x) - f(0)|_2 / sqrt(dim f) ("vanishing feature", arXiv 2402.05966)
  double weight = 0;     ///< mean |w| of the weight tensor ("magnitude collapse", ibid.)
  double bias = 0;       ///< mean |b|; 0 for a layer without
};
struct Activity {
  std::vector<ReluActivity> relus;    ///< in the order in which they are computed
  std::vector<LayerActivity> layers;  ///< in layer order
};

/// ReLUs are seen wherever the network calls them, layers by their hooks. f(0) is of one image of zeros (of normalised values).
/// The model is as before afterwards. CheckFailed without batches, ConfigError as MomentsOf.
Activity MeasureActivity(models::Classifier& model, const models::BatchVisitor& batches);

/// values[k] of the merged network over sum_i w_i of the parents'; empty weights: all 1/n. For variances: the variance ratio of
/// arXiv 2211.08403; for features: 2 E_mid / (E_1 + E_2). NaN where the parents have 0.
std::vector<double> RatioToParents(std::span<const double> merged, std::span<const std::vector<double>> parents,
                                   std::span<const double> weights = {});

}  // namespace basin::merge
