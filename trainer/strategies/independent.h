// No exchange: the control of every experiment.
#pragma once

#include "trainer/strategy.h"

namespace basin::trainer {

class Independent final : public Strategy {
 public:
  Independent(const IndependentOptions&, const RunShape&) {}
  Forecast Predict() const override;
};

}  // namespace basin::trainer
