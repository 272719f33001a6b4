#include "coordinator/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "coordinator/address.h"

namespace basin::coordinator {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;

/// What Prometheus allows in a name; measurements may be called anything.
std::string Identifier(std::string text) {
  for (char& letter : text) {
    if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '_';
  }
  return text;
}

/// Families by name, each with its help text once.
class Families {
 public:
  void Add(const std::string& name, const std::string& help, Labels labels, double value) {
    const auto [at, is_new] = index_.try_emplace(name, families_.size());
    if (is_new) families_.push_back({.name = name, .help = help, .type = prometheus::MetricType::Untyped, .metric = {}});
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    metric.untyped.value = value;
    families_[at->second].metric.push_back(std::move(metric));
  }
  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  std::map<std::string, size_t> index_;
  std::vector<prometheus::MetricFamily> families_;
};

void AddMeasurement(Families& families, const std::string& member, const Measurement& measurement) {
  const size_t slash = measurement.name.find('/');
  Labels labels{{"member", member}};
  if (slash != std::string::npos) {
    const std::string label = measurement.name.substr(slash + 1);
    const size_t colon = std::min(label.find(':'), label.size());
    labels.push_back({Identifier(label.substr(0, colon)), label.substr(std::min(colon + 1, label.size()))});
  }
  families.Add("basin_" + Identifier(measurement.name.substr(0, slash)), "as the member reports it", std::move(labels), measurement.value);
}

class StatusFamilies final : public prometheus::Collectable {
 public:
  explicit StatusFamilies(std::function<Status()> status) : status_(std::move(status)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const Status status = status_();
    Families families;
    families.Add("basin_membership_epoch", "0 before the group is complete; one more after each loss", {}, static_cast<double>(status.epoch));
    families.Add("basin_agreed_step", "step from which the group goes on; -1 while it regroups", {}, static_cast<double>(status.step));
    families.Add("basin_run", "1 for what the run is doing", {{"outcome", status.outcome}}, 1);
    std::map<std::string, int> states;
    for (const MemberStatus& member : status.members) ++states[member.state];
    for (const auto& [state, count] : states) families.Add("basin_members", "members by state", {{"state", state}}, count);
    for (const MemberStatus& member : status.members) AddMember(families, member);
    return families.Take();
  }

 private:
  static void AddMember(Families& families, const MemberStatus& member) {
    const std::string id = std::to_string(member.id);
    families.Add("basin_member_step", "steps taken", {{"member", id}}, static_cast<double>(member.step));
    families.Add("basin_member_steps_per_second", "measured by the member over a second", {{"member", id}}, member.steps_per_second);
    families.Add("basin_member_heartbeat_age_seconds", "since the member was last heard; -1: never", {{"member", id}}, member.silent_s);
    for (const Measurement& measurement : member.measurements) AddMeasurement(families, id, measurement);
  }

  std::function<Status()> status_;
};

}  // namespace

struct MetricsEndpoint::Serving {
  std::shared_ptr<StatusFamilies> families;  // the exposer holds it weakly
  std::unique_ptr<prometheus::Exposer> exposer;
  std::string address;
};

MetricsEndpoint::MetricsEndpoint(const std::string& listen, std::function<Status()> status) : serving_(std::make_unique<Serving>()) {
  Address at = ParseAddress(listen, "the address of --metrics");
  serving_->families = std::make_shared<StatusFamilies>(std::move(status));
  try {
    serving_->exposer = std::make_unique<prometheus::Exposer>(at.text(), /*num_threads=*/2);
  } catch (const std::exception& failure) {
    throw ConfigError(Text("cannot listen on ", listen, " for --metrics: ", failure.what(),
                           "; is the port in use, the address of another machine?"));
  }
  if (!IsLoopback(at.host)) base::LogWarning(Text("metrics on ", listen, " can be read by other machines, in plain text"));
  at.port = serving_->exposer->GetListeningPorts().at(0);
  serving_->address = at.text();
  serving_->exposer->RegisterCollectable(serving_->families);
}

MetricsEndpoint::~MetricsEndpoint() = default;

const std::string& MetricsEndpoint::address() const { return serving_->address; }

}  // namespace basin::coordinator
