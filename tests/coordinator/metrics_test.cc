#include "coordinator/metrics.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <regex>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "coordinator/address.h"
#include "tests/support/message_of.h"

namespace basin::coordinator {
namespace {

using testing::HasSubstr;

/// The answer to GET /metrics, from a real socket.
std::string Scrape(const std::string& address) {
  const Address at = ParseAddress(address, "address");
  sockaddr_in where{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(at.port)), .sin_addr = {}, .sin_zero = {}};
  inet_pton(AF_INET, at.host.c_str(), &where.sin_addr);
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&where), sizeof where), 0);
  const std::string request = "GET /metrics HTTP/1.0\r\nHost: " + address + "\r\n\r\n";
  EXPECT_EQ(::write(socket, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string answer;
  char piece[4096];
  for (ssize_t count; (count = ::read(socket, piece, sizeof piece)) > 0;) answer.append(piece, static_cast<size_t>(count));
  ::close(socket);
  return answer;
}

Status TwoMembers() {
  Status status{.members = {}, .waiting_for = {}, .reason = "", .epoch = 2, .step = 40, .outcome = "running"};
  status.members.push_back({.id = 0, .state = "training", .step = 41, .steps_per_second = 2.5, .silent_s = 0.25});
  status.members.push_back({.id = 1, .state = "lost", .step = 30, .silent_s = 60});
  status.members[0].measurements = {{"loss", 0.5, 41}, {"bytes_sent/strategy:wash", 1200, 41}, {"exchange_seconds_bucket/le:0.001", 3, 41},
                                    {"odd name\n", 1, 41}};
  return status;
}

TEST(MetricsEndpoint, ServesTheMembershipAndTheMeasurements) {
  const MetricsEndpoint endpoint("127.0.0.1:0", TwoMembers);
  const std::string answer = Scrape(endpoint.address());
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  for (const char* line : {"basin_membership_epoch 2", "basin_agreed_step 40", "basin_run{outcome=\"running\"} 1",
                           "basin_members{state=\"training\"} 1", "basin_members{state=\"lost\"} 1", "basin_member_step{member=\"0\"} 41",
                           "basin_member_steps_per_second{member=\"0\"} 2.5", "basin_member_heartbeat_age_seconds{member=\"1\"} 60",
                           "basin_loss{member=\"0\"} 0.5", "basin_bytes_sent{member=\"0\",strategy=\"wash\"} 1200",
                           "basin_exchange_seconds_bucket{member=\"0\",le=\"0.001\"} 3", "basin_odd_name_{member=\"0\"} 1"}) {
    EXPECT_THAT(answer, HasSubstr(std::string("\n") + line));
  }
}

TEST(MetricsEndpoint, RefusesAnAddressThatIsTakenOrMalformed) {
  const MetricsEndpoint first("127.0.0.1:0", TwoMembers);
  EXPECT_THAT(test::MessageOf<ConfigError>([&] { MetricsEndpoint(first.address(), TwoMembers); }), HasSubstr("--metrics"));
  EXPECT_THROW(MetricsEndpoint("nowhere", TwoMembers), ConfigError);
}

TEST(MetricsEndpoint, ServesEverySeriesThatTheDashboardShows) {
  const std::string dashboard = base::ReadFile(std::string(BASIN_SOURCE_DIR) + "/docs/grafana.json");
  const std::string answer = Scrape(MetricsEndpoint("127.0.0.1:0", TwoMembers).address());
  const std::regex name("basin_[a-z_]+");
  std::set<std::string> shown{std::sregex_token_iterator(dashboard.begin(), dashboard.end(), name), {}};
  EXPECT_GE(shown.size(), 6u);
  for (const std::string& series : shown) EXPECT_THAT(answer, HasSubstr("\n" + series + "{")) << series;
}

}  // namespace
}  // namespace basin::coordinator
