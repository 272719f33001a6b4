// What a run directory tells of its run, finished or not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace basin::report {

/// The records of one member in metrics.jsonl, kind by kind, in the order of the file. Values that are not finite there (null) are
/// NaN here. Columns of one kind have one length.
struct MemberTrack {
  struct {
    std::vector<double> step, loss, lr;
  } steps;
  struct {
    std::vector<double> step, loss, accuracy;  ///< on test
  } evals;
  struct {
    std::vector<double> step, bytes, seconds;  ///< of this member alone
  } exchanges;
};

/// One line between two networks: loss and accuracy against lambda.
struct PathRecord {
  int64_t a = 0, b = 0;
  std::string split, renorm;  ///< train | test; none | reset | ...
  std::vector<double> lambda, loss, accuracy;
};

struct EventRecord {
  int64_t step = 0;
  double time = 0;  ///< seconds since 1970
  base::Json fields;
};

struct RunRecord {
  std::string name;    ///< of the folder
  base::Json result;   ///< result.json; null: the run is not finished
  std::string config;  ///< config.yaml; empty: there is none
  std::map<int64_t, MemberTrack> members;
  std::vector<double> consensus_step, consensus_squared;  ///< estimates while training (trainer/consensus.h)
  std::vector<PathRecord> paths;                          ///< lmc.csv
  std::vector<EventRecord> events;
  double first_time = 0, last_time = 0;  ///< of the records, seconds since 1970; 0: there are none
};

/// Reads result.json, metrics.jsonl, lmc.csv and config.yaml of a run directory, each if it is there; a last line of metrics.jsonl that
/// is not yet whole is passed over, as a running run has one. DataError naming file and line for anything malformed, and when neither
/// result.json nor metrics.jsonl is there.
RunRecord ReadRun(const std::filesystem::path& dir);

/// The last part of a path that has one: "runs/a/" is "a", "." is the name of the working directory.
std::string FolderName(const std::filesystem::path& dir);

}  // namespace basin::report
