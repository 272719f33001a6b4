#include "trainer/laboratory/analysis.h"

#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "trainer/laboratory/pictures.h"

namespace basin::trainer {
namespace {

void Write(const std::filesystem::path& folder, const AnalysisPart& part) {
  base::WriteFileAtomically(folder / (part.name + ".csv"), part.csv);
  base::WriteJson(folder / (part.name + ".json"), part.json);
  WritePictures(folder, PicturesOf(part));
}

}  // namespace

base::Json AnalyzeFiles(const RunConfig& config, const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder,
                        const AnalyzeRequest& request, Crew& crew) {
  if (files.size() < 2 || files.size() > 3) {
    throw ConfigError(Text("analyze compares two models, or looks at the plane through three; ", files.size(), " were given"));
  }
  std::optional<Workshop> shop;
  std::vector<models::StateDict> networks;
  crew.Together([&] {
    shop.emplace(config);
    for (const auto& file : files) {
      shop->Load(models::ReadState(file), file.string());  // refuses what is not of the configured kind
      // In the network's order: a file's may be alphabetical.
      networks.push_back(models::CloneState(models::StateOf(*shop->model)));
    }
    if (files.size() == 3) merge::Plane(networks[0], networks[1], networks[2]);  // refuses a line
    CheckMending(request.mending);
  });
  std::vector<AnalysisPart> parts;
  parts.push_back(AnalyzeDistance(networks[0], networks[1]));
  parts.push_back(AnalyzeSingular(networks[0], networks[1], request.gammas, crew.share()));
  parts.push_back(AnalyzeCollapse(*shop, networks, request.mending, crew.share()));
  parts.push_back(AnalyzeTaylor(*shop, networks[0], networks[1], request.mending.samples, crew.share()));
  if (files.size() == 3) parts.push_back(AnalyzePlane(*shop, networks, request.plane, crew.share()));
  base::Json summary{{"files", base::Json::array()}};
  for (const auto& file : files) summary["files"].push_back(file.string());
  for (const AnalysisPart& part : parts) summary[part.name] = part.json;
  crew.Together([&] {
    if (!crew.leads()) return;
    std::filesystem::create_directories(folder);
    for (const AnalysisPart& part : parts) Write(folder, part);
  });
  return summary;
}

}  // namespace basin::trainer
