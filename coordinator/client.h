// A member's side of the control plane: joins, beats from a thread of its own, and learns what the membership decided.
// Plain values only; gRPC stays behind it.
//
//   Client client(options);                                    // joins, or throws
//   Directive group = client.AwaitGroup(deadline);             // all are there
//   while (training) {
//     client.Progress({.phase = ..., .step = ..., .operation = "exchange wash"});   // cheap
//     Directive now = client.directive();                      // also cheap; look at it in every wait for peers
//     if (now.verdict == Verdict::kRegroup) group = client.Agree(step, deadline);
//   }
//   client.Leave(LeaveKind::kDone, "finished");
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "coordinator/types.h"

namespace basin::coordinator {

struct ClientOptions {
  std::string address;  ///< HOST:PORT of the coordinator
  Tls tls{};
  int member = 0;
  std::string token{};  ///< proves that the member belongs to this run
  Settings settings{};
  int64_t step = 0;       ///< last completed step; more than 0 in a resumed run
  std::string host{};     ///< shown to people; empty: this machine's name
  double join_s = 60;     ///< how long to try to join; a coordinator that is not up yet is waited for
  double give_up_s = 30;  ///< without an answer for so long the run counts as ended for this member (verdict kEnd)
  double call_s = 5;      ///< deadline of one call
  /// Told of every change of the directive, one call at a time, on a thread of the client. It must not block for long
  /// nor call this client, except directive().
  std::function<void(const Directive&)> on_directive{};
};

/// What a member is doing; shown by `basin status`, and its phase sets how much silence is allowed.
struct Activity {
  Phase phase = Phase::kTraining;
  int64_t step = 0;         ///< last completed one
  std::string operation{};  ///< for people: "exchange wash"
  double steps_per_second = 0;
};

class Connection;

/// Threads: every method may be called from any thread. Failures: CommError, unless said otherwise.
class Client {
 public:
  /// Joins. CommError when refused (with the coordinator's reason), or when nobody answered within join_s. ConfigError:
  /// a malformed address or unusable TLS files.
  explicit Client(ClientOptions options);
  /// Leaves as failed, unless Leave was called: who unwinds in an error says so to the others. Returns within seconds.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// For so long no beat is sent, as if all were lost on their way. For tests of what the others make of that.
  void Mute(std::chrono::duration<double> how_long);

  /// Costs less than a microsecond: the next beat carries it. A change of phase is sent at once.
  void Progress(Activity activity);

  /// What holds now. Once it is kEnd or kPutOut it stays so.
  Directive directive() const;
  /// Whether this member must not write into the run: it was put out, or has been without an answer for longer than
  /// settings.timeout_s, so that it may have been.
  bool fenced() const;
  /// Seconds since the coordinator last answered.
  double silent_s() const;

  /// Waits until the group is complete. Returns the directive then: kGoOn, or a later one. CommError after the
  /// deadline.
  Directive AwaitGroup(std::chrono::duration<double> deadline);
  /// Waits until the membership's epoch is another than `epoch` or the run is over for this member. Returns the directive then, or the one
  /// that holds after the deadline.
  Directive AwaitChange(int64_t epoch, std::chrono::duration<double> deadline);
  /// Says that this member stands still at `step` and waits until the epoch's members agree, over several epochs if
  /// more are lost meanwhile. Returns kGoOn, kEnd or kPutOut. CommError after the deadline, naming what was waited for.
  Directive Agree(int64_t step, std::chrono::duration<double> deadline);

  /// The newest measurements; at most 64 names. Costs less than a microsecond: they travel with the next beat, in place
  /// of those that have not yet. Best effort.
  void Report(std::vector<Measurement> measurements);

  /// Bootstrap values: at most 256 bytes of key, 64 KiB of value; a key is written once. Put and Await retry until the
  /// deadline.
  void Put(const std::string& key, const std::string& value, std::chrono::duration<double> deadline);
  std::string Await(const std::string& key, std::chrono::duration<double> deadline);

  // The end of a run. Every call below tries again over lost connections and a restarted coordinator, until its
  // deadline. CommError: the deadline passed, the coordinator refused (the message says why), or the run ended for this
  // member. Beats go on meanwhile; say Phase::kFinish with Progress() first, which allows more silence. Several threads
  // may call at once, but see FetchTask.

  /// Streams a safetensors file to the coordinator, where it becomes MemberWeightsName(member): whole and checked, or
  /// not at all. What has arrived stays when a connection is lost. Sending the same file again costs one question; a
  /// changed one takes the other's place. The receipt's `flaw` says whether a value is not finite. DataError: the file
  /// cannot be read. It must not change meanwhile. Memory: two chunks of 512 KiB; the file is mapped.
  WeightsReceipt SendWeights(const std::filesystem::path& file, std::chrono::duration<double> deadline);

  /// Writes a file that the coordinator has, or comes to have before the deadline, to `to`: a member's, by
  /// MemberWeightsName, or an average, by its name. `to` appears only when complete and its digest is right. DataError:
  /// it cannot be written.
  void FetchWeights(const std::string& name, const std::filesystem::path& to, std::chrono::duration<double> deadline);

  /// Returns when the coordinator has made this average; it waits for members' files that are not there yet. Every
  /// member may ask for the same. DataError: it failed there (the message says why: files that do not match, a value
  /// that is not finite, a member that was lost before its file came); a job with other members may then have the name.
  void Average(const AverageJob& job, std::chrono::duration<double> deadline);

  /// Shares a list of tasks. The first post of a run fixes it; CommError when this one differs.
  TaskProgress PostTasks(const TaskList& list, std::chrono::duration<double> deadline);
  /// Never waits for a task to become open. A member holds one task at a time: asked again before it was returned, the
  /// same one comes, so one thread a member works on tasks.
  FetchedTask FetchTask(std::chrono::duration<double> deadline);
  /// At most 4096 values. A second, different result of a task is noted for people and changes nothing. A total of 0 in
  /// the answer: the coordinator has no list (it was restarted), and nothing was taken.
  TaskProgress ReturnTask(int64_t id, std::span<const double> values, std::chrono::duration<double> deadline);
  /// By task number, the same whoever worked on what. Waits until all tasks are done. Nothing when there is no list.
  std::optional<std::vector<std::vector<double>>> TaskResults(std::chrono::duration<double> deadline);

  /// All of that: posts the list, works on its tasks until all are done, by whomever, and returns all results by task
  /// number. Every member calls it with the same list. `evaluate` runs on this thread; what it throws is passed on, and
  /// its task goes to another member when this one leaves or after list.deadline_s. A coordinator that was restarted
  /// meanwhile is given the list anew. The coordinator must live until every member has its results.
  std::vector<std::vector<double>> WorkOn(const TaskList& list,
                                          const std::function<std::vector<double>(const Task&)>& evaluate,
                                          std::chrono::duration<double> deadline);

  /// Says goodbye and stops beating. Later calls do nothing. Never throws: who leaves cannot mend what fails here.
  void Leave(LeaveKind kind, const std::string& reason) noexcept;

 private:
  std::unique_ptr<Connection> connection_;
  std::once_flag left_;
};

/// The membership as anybody may see it. CommError when nobody answers within the deadline or the caller is refused.
Status QueryStatus(const std::string& address, const Tls& tls, std::chrono::duration<double> deadline);

}  // namespace basin::coordinator
