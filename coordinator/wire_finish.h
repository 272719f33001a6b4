// The wire's part of a run's end: weights, averages, tasks. As wire.h: requests are checked field by field (Refused),
// answers of a coordinator too (CommError).
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "coordinator/service.h"
#include "coordinator/types.h"
#include "coordinator/wire.h"

namespace basin::coordinator {

/// What the first chunk of a stream says about it.
struct WeightsHeader {
  Caller caller{};  ///< of a stream to the coordinator
  std::string name{};
  base::FileDigest whole{};
  int64_t offset = 0;
};
WeightsHeader FromWire(const wire::WeightsChunk& first);
WeightsHeader FromWire(const wire::WeightsQuery& query);
AverageJob FromWire(const wire::AverageRequest& request);
TaskList FromWire(const wire::PostTasksRequest& request);
/// The values of a result, whose number is checked.
std::vector<double> FromWire(const wire::ReturnTaskRequest& request);

WeightsReceipt FromWire(const wire::WeightsReceipt& receipt);
AverageProgress FromWire(const wire::AverageReply& reply);
TaskProgress FromWire(const wire::TaskProgress& progress);
FetchedTask FromWire(const wire::FetchTaskReply& reply);

wire::AverageRequest ToWire(const Caller& caller, const AverageJob& job);
wire::PostTasksRequest ToWire(const Caller& caller, const TaskList& list);
wire::WeightsReceipt ToWire(const WeightsReceipt& receipt);
wire::AverageReply ToWire(const AverageProgress& progress);
wire::TaskProgress ToWire(const TaskProgress& progress);
wire::FetchTaskReply ToWire(const FetchedTask& fetched);
wire::TaskResultsReply ToWire(const Service::TaskResults& results);

}  // namespace basin::coordinator
