// The client's part of a run's end: weights and averages.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "coordinator/chunk.h"
#include "coordinator/client.h"
#include "coordinator/client_calls.h"
#include "coordinator/limits.h"
#include "coordinator/wire_finish.h"

namespace basin::coordinator {
namespace {

// The generated stub's methods, but with messages that copy no payload.
std::unique_ptr<grpc::ClientWriter<Chunk>> SendChunks(Connection& connection, grpc::ClientContext& context,
                                                      v1::WeightsReceipt& receipt) {
  static const grpc::internal::RpcMethod kMethod("/basin.coordinator.v1.Coordinator/SendWeights",
                                                 grpc::internal::RpcMethod::CLIENT_STREAMING);
  return std::unique_ptr<grpc::ClientWriter<Chunk>>(
      grpc::internal::ClientWriterFactory<Chunk>::Create(&connection.channel(), kMethod, &context, &receipt));
}

std::unique_ptr<grpc::ClientReader<Chunk>> FetchChunks(Connection& connection, grpc::ClientContext& context,
                                                       const v1::WeightsQuery& query) {
  static const grpc::internal::RpcMethod kMethod("/basin.coordinator.v1.Coordinator/FetchWeights",
                                                 grpc::internal::RpcMethod::SERVER_STREAMING);
  return std::unique_ptr<grpc::ClientReader<Chunk>>(
      grpc::internal::ClientReaderFactory<Chunk>::Create(&connection.channel(), kMethod, &context, query));
}

/// A file on its way to the coordinator, over as many connections as it takes.
class Sending {
 public:
  Sending(Connection& connection, const std::filesystem::path& path)
      : connection_(connection),
        file_(std::make_shared<const base::MappedFile>(path)),
        pieces_(PieceHashes::Of(file_->bytes())) {
    header_.set_name(MemberWeightsName(connection.options().member));
    *header_.mutable_caller() = ToWire(connection.caller());
    header_.set_total_bytes(pieces_.digest().bytes);
    header_.set_total_hash(pieces_.digest().hash);
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
    const int64_t total = header_.total_bytes(), held = std::clamp<int64_t>(receipt_.held_bytes(), 0, total);
    const auto writer = SendChunks(connection_, context, receipt_);
    Chunk chunk;
    chunk.head = header_;
    for (int64_t at = held; at < total; at += static_cast<int64_t>(chunk.data_bytes())) {
      if (at > held) chunk.head.Clear();
      const Piece piece = PieceAt(file_->bytes(), pieces_.hashes(), at);
      chunk.head.set_offset(at);
      chunk.head.set_hash(piece.hash);
      chunk.SetData(piece.bytes, file_);
      if (!writer->Write(chunk)) break;
    }
    writer->WritesDone();
    return writer->Finish();
  }

  Connection& connection_;
  const std::shared_ptr<const base::MappedFile> file_;
  const PieceHashes pieces_;
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
    if (file_ == nullptr) file_ = std::make_unique<base::AtomicFile>(to_, base::AtomicFile::Hashing::kNone);
    query_.set_offset(held());
    grpc::ClientContext context;
    SetDeadline(context, until.left_s());
    const auto reader = FetchChunks(connection_, context, query_);
    std::string problem;
    try {
      Chunk chunk;
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
    } else if (problem.empty() && IsWhole() && pieces_->digest() == whole_) {
      return grpc::Status::OK;
    }
    if (!problem.empty() || IsWhole()) file_.reset();  // its bytes are of no use
    return Passing(problem.empty() ? "the file did not arrive as a whole" : problem);
  }
  void Commit() { file_->Commit(); }

 private:
  int64_t held() const { return file_->digest().bytes; }
  bool IsWhole() const { return whole_.bytes > 0 && held() == whole_.bytes; }

  /// Why the chunk is not what was asked for; empty: it was taken.
  std::string Take(const Chunk& chunk) {
    if (chunk.head.total_bytes() > 0) {
      const base::FileDigest whole{chunk.head.total_bytes(), chunk.head.total_hash()};
      if (held() > 0 && whole != whole_) return "another file took its place meanwhile";
      whole_ = whole;
      if (held() == 0) pieces_.emplace(whole_.bytes);
    }
    const auto size = static_cast<int64_t>(chunk.data_bytes());
    if (size == 0 || chunk.head.offset() != held() || size > whole_.bytes - held() || HashOf(chunk.data()) != chunk.head.hash())
      return Text("the bytes from ", chunk.head.offset(), " on arrived damaged or out of order");
    file_->WriteParts(chunk.data());
    pieces_->Take(chunk.data(), chunk.head.hash());
    return {};
  }

  Connection& connection_;
  const std::filesystem::path to_;
  v1::WeightsQuery query_;
  std::unique_ptr<base::AtomicFile> file_;
  base::FileDigest whole_;
  std::optional<PieceHashes> pieces_;
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
