// What lmc and analyze draw of their numbers.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainer/laboratory/analysis.h"

namespace basin::trainer {

struct Picture {
  std::string name;  ///< of the file, with .svg
  std::string svg;
};
void WritePictures(const std::filesystem::path& folder, const std::vector<Picture>& pictures);

/// For each pair the loss and the accuracy along the line; for more than two networks the barriers (B2 on the test split) of all
/// pairs as a table, one for each way of mending.
std::vector<Picture> PicturesOf(const std::vector<PairCurve>& curves, const std::vector<std::string>& names);
/// Of one part of an analysis, by its name.
std::vector<Picture> PicturesOf(const AnalysisPart& part);

}  // namespace basin::trainer
