// Ten drawn shapes: a data set that needs no download and is the same, byte for byte, on every machine.
#pragma once

#include <cstdint>

#include "data/dataset.h"

namespace basin::data {

inline constexpr int64_t kShapesTrain = 4000;
inline constexpr int64_t kShapesTest = 2000;
inline constexpr int64_t kShapesSize = 20;     ///< height and width in pixels
inline constexpr int64_t kShapesClasses = 10;  ///< disc ring square frame triangle plus star crescent heart hourglass
inline constexpr uint64_t kShapesTrainSeed = 1;
inline constexpr uint64_t kShapesTestSeed = 2;

/// Images 0..count-1 of the stream `seed`: uint8 [count, 3, 20, 20], label = image mod 10. A pure function: double
/// arithmetic in a fixed order, counter-based noise, no function but sqrt; needs -ffp-contract=off.
Split DrawShapes(uint64_t seed, int64_t count);

/// The first train_limit of 4000 training and the first test_limit of 2000 test images; reads no file.
Dataset LoadShapes(const DataOptions& options);

}  // namespace basin::data
