// The client's part of a run's end: weights and averages.
#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "coordinator/client.h"
#include "coordinator/client_calls.h"
#include "coordinator/limits.h"
#include "coordinator/wire_finish.h"

namespace basin::coordinator {
namespace {

/// A file on its way to the coordinator, over as many connections as it takes.
class Sending {
 public:
  Sending(Connection& connection, const std::filesystem::path& path) : connection_(connection), file_(path) {
    header_.set_name(MemberWeightsName(connection.options().member));
    *header_.mutable_caller() = ToWire(connection.caller());
    header_.set_total_bytes(static_cast<int64_t>(file_.bytes().size()));
    header_.set_total_hash(base::Hash64(file_.bytes()));
  }

  grpc::Status Attempt(const Deadline& until) {
    grpc::Status status = AskWhatIsHeld(until);
    if (!status.ok() || receipt_.complete()) return status;
    status = Stream(until);
    if (status.ok() && !receipt_.complete()) return Passing("the stream of weights ended early");
    return status;
  }
  const v1::WeightsReceipt& receipt() const { return receipt_; }

 private:
  grpc::Status AskWhatIsHeld(const Deadline& until) {
    grpc::ClientContext context;
    SetDeadline(context, until.left_s());
    v1::WeightsQuery query;
    *query.mutable_caller() = header_.caller();
    query.set_name(header_.name());
    query.set_total_bytes(header_.total_bytes());
    query.set_total_hash(header_.total_hash());
    return connection_.stub().HeldWeights(&context, query, &receipt_);
  }

  grpc::Status Stream(const Deadline& until) {
    grpc::ClientContext context;
    SetDeadline(context, until.left_s());
    const auto held = static_cast<size_t>(std::clamp<int64_t>(receipt_.held_bytes(), 0, header_.total_bytes()));
    const auto writer = connection_.stub().SendWeights(&context, &receipt_);
    v1::WeightsChunk chunk = header_;
    for (auto rest = file_.bytes().subspan(held); !rest.empty();) {
      const auto piece = rest.first(std::min(kMaxChunkBytes, rest.size()));
      chunk.set_offset(static_cast<int64_t>(file_.bytes().size() - rest.size()));
      chunk.set_hash(base::Hash64(piece));
      chunk.set_data(piece.data(), piece.size());
      if (!writer->Write(chunk)) break;
      if (chunk.has_caller()) chunk = {};
      rest = rest.subspan(piece.size());
    }
    writer->WritesDone();
    return writer->Finish();
  }

  Connection& connection_;
  const base::MappedFile file_;
  v1::WeightsChunk header_;
  v1::WeightsReceipt receipt_;
};

/// A file on its way from the coordinator.
class Fetching {
 public:
  Fetching(Connection& connection, const std::string& name, std::filesystem::path to)
      : connection_(connection), to_(std::move(to)) {
    *query_.mutable_caller() = ToWire(connection.caller());
    query_.set_name(name);
  }

  grpc::Status Attempt(const Deadline& until) {
    if (file_ == nullptr) file_ = std::make_unique<base::AtomicFile>(to_);
    query_.set_offset(file_->digest().bytes);
    grpc::ClientContext context;
    SetDeadline(context, until.left_s());
    const auto reader = connection_.stub().FetchWeights(&context, query_);
    std::string problem;
    try {
      v1::WeightsChunk chunk;
      while (problem.empty() && reader->Read(&chunk)) problem = Take(chunk);
    } catch (...) {  // the disk is full, say
      context.TryCancel();
      reader->Finish();
      throw;
    }
    if (!problem.empty()) context.TryCancel();
    const grpc::Status status = reader->Finish();
    if (problem.empty() && !status.ok()) {
      // A file of another size may have taken the place of the one that was begun.
      if (status.error_code() != grpc::StatusCode::INVALID_ARGUMENT || query_.offset() == 0) return status;
      problem = status.error_message();
    } else if (problem.empty() && file_->digest() == whole_) {
      return grpc::Status::OK;
    }
    if (!problem.empty() || file_->digest().bytes >= whole_.bytes) file_.reset();  // its bytes are of no use
    return Passing(problem.empty() ? "the file did not arrive as a whole" : problem);
  }
  void Commit() { file_->Commit(); }

 private:
  /// Why the chunk is not what was asked for; empty: it was taken.
  std::string Take(const v1::WeightsChunk& chunk) {
    const int64_t held = file_->digest().bytes;
    if (chunk.total_bytes() > 0) {
      const base::FileDigest whole{chunk.total_bytes(), chunk.total_hash()};
      if (held > 0 && whole != whole_) return "another file took its place meanwhile";
      whole_ = whole;
    }
    const auto bytes = std::as_bytes(std::span(chunk.data()));
    const auto end = held + static_cast<int64_t>(bytes.size());
    if (chunk.offset() != held || end > whole_.bytes || base::Hash64(bytes) != chunk.hash())
      return Text("the bytes from ", chunk.offset(), " on arrived damaged or out of order");
    file_->Write(bytes);
    return {};
  }

  Connection& connection_;
  const std::filesystem::path to_;
  v1::WeightsQuery query_;
  std::unique_ptr<base::AtomicFile> file_;
  base::FileDigest whole_;
};

}  // namespace

WeightsReceipt Client::SendWeights(const std::filesystem::path& file, Seconds deadline) {
  const Deadline until(deadline);
  Sending sending(*connection_, file);
  Call(*connection_, Text("send the weights in ", file.string()), until, [&] { return sending.Attempt(until); });
  return FromWire(sending.receipt());
}

void Client::FetchWeights(const std::string& name, const std::filesystem::path& to, Seconds deadline) {
  const Deadline until(deadline);
  Fetching fetching(*connection_, name, to);
  Call(*connection_, Text("fetch ", name), until, [&] { return fetching.Attempt(until); });
  fetching.Commit();
}

void Client::Average(const AverageJob& job, Seconds deadline) {
  const Deadline until(deadline);
  const v1::AverageRequest request = ToWire(connection_->caller(), job);
  for (Pauses pauses(*connection_);;) {
    v1::AverageReply reply;
    CallOnce(*connection_, Text("have ", job.name, " made"), until, &v1::Coordinator::Stub::Average, request, reply);
    const AverageProgress progress = FromWire(reply);
    if (progress.state == AverageProgress::State::kDone) return;
    if (progress.state == AverageProgress::State::kFailed) throw DataError(Text("the coordinator: ", progress.reason));
    pauses.Rest(until, job.name, progress.reason);
  }
}

}  // namespace basin::coordinator
