#include "trainer/strategies/independent.h"

namespace basin::trainer {

Forecast Independent::Predict() const { return {}; }

}  // namespace basin::trainer
