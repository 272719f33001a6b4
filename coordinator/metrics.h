// The membership and the members' measurements for Prometheus, over HTTP. No type of prometheus-cpp in this header.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "coordinator/types.h"

namespace basin::coordinator {

/// Serves GET /metrics from construction to destruction, from two threads of its own. Each scrape asks for the status once.
///
/// Series: basin_members{state}, basin_membership_epoch, basin_agreed_step (-1 while regrouping), basin_run{outcome} (1), and
/// for each member basin_member_step, basin_member_steps_per_second, basin_member_heartbeat_age_seconds, all {member}.
/// A measurement NAME or NAME/LABEL:VALUE of a member becomes basin_NAME{member, LABEL="VALUE"}.
class MetricsEndpoint {
 public:
  /// `listen`: HOST:PORT; port 0: any free one. ConfigError when it is malformed or cannot be listened on. What `status` uses must
  /// outlive the endpoint; it is called from the endpoint's threads.
  MetricsEndpoint(const std::string& listen, std::function<Status()> status);
  ~MetricsEndpoint();
  MetricsEndpoint(const MetricsEndpoint&) = delete;
  MetricsEndpoint& operator=(const MetricsEndpoint&) = delete;

  /// HOST:PORT, with the port that was really taken.
  const std::string& address() const;

 private:
  struct Serving;
  std::unique_ptr<Serving> serving_;
};

}  // namespace basin::coordinator
