#include "trainer/analysis.h"

#include "base/error.h"
#include "base/files.h"
#include "comm/in_process.h"
#include "trainer/pictures.h"

namespace basin::trainer {
namespace {

void Write(const std::filesystem::path& folder, const AnalysisPart& part) {
  base::WriteFileAtomically(folder / (part.name + ".csv"), part.csv);
  base::WriteJson(folder / (part.name + ".json"), part.json);
  WritePictures(folder, PicturesOf(part));
}

}  // namespace

base::Json AnalyzeFiles(const RunConfig& config, const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder,
                        const AnalyzeRequest& request) {
  if (files.size() < 2 || files.size() > 3) {
    throw ConfigError(Text("analyze compares two models, or looks at the plane through three; ", files.size(), " were given"));
  }
  Workshop shop(config);
  std::vector<models::StateDict> networks;
  for (const auto& file : files) {
    shop.Load(models::ReadState(file), file.string());  // refuses what is not of the configured kind
    // In the network's order: a file's may be alphabetical.
    networks.push_back(models::CloneState(models::StateOf(*shop.model)));
  }
  const auto comm = comm::MakeInProcess(comm::MakeInProcessGroup(1), 0, config.comm.timeout);
  const TaskShare share = ByRank(*comm);
  std::vector<AnalysisPart> parts;
  parts.push_back(AnalyzeDistance(networks[0], networks[1]));
  parts.push_back(AnalyzeSingular(networks[0], networks[1], request.gammas, share));
  parts.push_back(AnalyzeCollapse(shop, networks, request.mending));
  parts.push_back(AnalyzeTaylor(shop, networks[0], networks[1], request.mending.samples, share));
  if (files.size() == 3) parts.push_back(AnalyzePlane(shop, networks, request.plane, share));
  std::filesystem::create_directories(folder);
  base::Json summary{{"files", base::Json::array()}};
  for (const auto& file : files) summary["files"].push_back(file.string());
  for (const AnalysisPart& part : parts) {
    Write(folder, part);
    summary[part.name] = part.json;
  }
  return summary;
}

}  // namespace basin::trainer
