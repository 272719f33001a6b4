// basin status
#include <iostream>

#include "base/error.h"
#include "base/json.h"
#include "coordinator/client.h"
#include "launch/commands.h"
#include "report/progress.h"
#include "report/table.h"

namespace basin::launch {
namespace {

base::Json AsJson(const coordinator::Status& status) {
  base::Json members = base::Json::array();
  for (const coordinator::MemberStatus& member : status.members) {
    base::Json measurements = base::Json::object();
    for (const coordinator::Measurement& m : member.measurements)
      measurements[m.name] = {{"value", m.value}, {"step", m.step}};
    members.push_back({{"id", member.id},
                       {"state", member.state},
                       {"step", member.step},
                       {"silent_s", member.silent_s},
                       {"operation", member.operation},
                       {"operation_s", member.operation_s},
                       {"steps_per_second", member.steps_per_second},
                       {"member_for_s", member.member_for_s},
                       {"host", member.host},
                       {"pid", member.pid},
                       {"note", member.note},
                       {"measurements", measurements}});
  }
  return {{"members", members},    {"waiting_for", status.waiting_for}, {"reason", status.reason},
          {"epoch", status.epoch}, {"agreed_step", status.step},        {"outcome", status.outcome}};
}

std::string Ago(double seconds) { return seconds < 0 ? "-" : report::FormatNumber(seconds, 3) + " s"; }

std::string AsText(const coordinator::Status& status) {
  report::Table table(
      {"member", "state", "step", "steps/s", "doing", "for", "silent", "member for", "host", "pid", "note"});
  for (const coordinator::MemberStatus& member : status.members) {
    table.AddRow({std::to_string(member.id), member.state, std::to_string(member.step),
                  report::FormatNumber(member.steps_per_second, 3), member.operation, Ago(member.operation_s),
                  Ago(member.silent_s), member.member_for_s < 0 ? "-" : report::FormatDuration(member.member_for_s),
                  member.host, member.pid == 0 ? "-" : std::to_string(member.pid), member.note});
  }
  std::string text = status.members.empty() ? "" : table.Render() + "\n";
  text += Text("run: ", status.outcome, ", epoch ", status.epoch);
  text +=
      "\nwaiting for: " + (status.waiting_for.empty() ? "nobody" : "member " + coordinator::Listed(status.waiting_for));
  return text + "\nlast decision: " + status.reason;
}

}  // namespace

void AddStatus(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("status", "who is a member of a running run, who is waited for and why");
  command->description(
      "Asks a coordinator who is a member, at which step, how fast, who is waited for, in which operation, since when, "
      "and why the\n"
      "membership last changed. Exit code 4 when nobody answers or the coordinator refuses.\n\n"
      "  basin status --coordinator 127.0.0.1:7700 --json");
  struct Arguments {
    std::string coordinator;
    coordinator::Tls tls;
    double timeout_s = 5;
  };
  auto arguments = std::make_shared<Arguments>();
  const auto common = AddCommonOptions(*command);
  command->add_option("--coordinator", arguments->coordinator, "address of the coordinator")
      ->type_name("HOST:PORT")
      ->required();
  command->add_option("--tls-cert", arguments->tls.cert, "certificate to show (PEM)")->type_name("FILE");
  command->add_option("--tls-key", arguments->tls.key, "its private key (PEM)")->type_name("FILE");
  command
      ->add_option("--tls-ca", arguments->tls.ca, "authority that must have signed the coordinator's certificate (PEM)")
      ->type_name("FILE");
  command
      ->add_option("--tls-name", arguments->tls.server_name,
                   "name in the coordinator's certificate, where it is not HOST")
      ->type_name("NAME");
  command->add_option("--timeout-s", arguments->timeout_s, "seconds to wait for the answer")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->callback([=, &action] {
    action = [=] {
      const coordinator::Status status = coordinator::QueryStatus(arguments->coordinator, arguments->tls,
                                                                  std::chrono::duration<double>(arguments->timeout_s));
      std::cout << (common->json ? AsJson(status).dump(2) : AsText(status)) << std::endl;
      return 0;
    };
  });
}

}  // namespace basin::launch
