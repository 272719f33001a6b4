// Who gets in when the coordinator has a certificate.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "coordinator/client.h"
#include "coordinator/server.h"
#include "proto/coordinator.grpc.pb.h"
#include "tests/coordinator/certificates.h"
#include "tests/support/message_of.h"

namespace basin::coordinator {
namespace {

using testing::HasSubstr;

class WithCertificates : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!test::HasOpenssl()) return;
    ours_ = new test::Authority("ours");
    theirs_ = new test::Authority("theirs");
  }
  static void TearDownTestSuite() {
    delete ours_;
    delete theirs_;
  }
  void SetUp() override {
    if (ours_ == nullptr) GTEST_SKIP() << "the openssl command is not installed";
  }
  void Listen(const Tls& tls) { server_ = std::make_unique<Server>(ServerOptions{.tls = tls}, clock_); }
  Status Ask(const Tls& tls) const { return QueryStatus(server_->address(), tls, std::chrono::seconds(3)); }
  std::string Refusal(const Tls& tls) const {
    return test::MessageOf<CommError>([&] { Ask(tls); });
  }

  static inline test::Authority* ours_ = nullptr;
  static inline test::Authority* theirs_ = nullptr;
  base::SystemClock clock_;
  std::unique_ptr<Server> server_;
};

TEST_F(WithCertificates, AMemberWithACertificateOfTheAuthorityTakesPart) {
  Listen(ours_->Issue("server"));
  const Tls tls = ours_->Issue("member");
  Client member({.address = server_->address(), .tls = tls, .member = 0, .settings = {.members = 1}});
  EXPECT_EQ(member.AwaitGroup(std::chrono::seconds(30)).verdict, Verdict::kGoOn);
  EXPECT_EQ(Ask(tls).members.size(), 1U);
}

TEST_F(WithCertificates, PlainTextIsRefused) {
  Listen(ours_->Issue("server"));
  EXPECT_THAT(Refusal({}), HasSubstr("If it asks for certificates"));
}

TEST_F(WithCertificates, AClientWithoutACertificateIsRefused) {
  Listen(ours_->Issue("server"));
  const auto channel =
      grpc::CreateChannel(server_->address(), grpc::SslCredentials({.pem_root_certs = base::ReadFile(ours_->ca())}));
  const auto stub = v1::Coordinator::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(3));
  v1::StatusReply reply;
  EXPECT_FALSE(stub->Status(&context, {}, &reply).ok());
}

TEST_F(WithCertificates, ACertificateOfAnotherAuthorityIsRefused) {
  Listen(ours_->Issue("server"));
  Tls tls = theirs_->Issue("stranger");
  tls.ca = ours_->ca();  // so that the client trusts the server, and only the server can refuse
  EXPECT_THAT(Refusal(tls), HasSubstr("no answer from a coordinator"));
}

TEST_F(WithCertificates, AnExpiredCertificateIsRefused) {
  Listen(ours_->Issue("server"));
  EXPECT_THAT(Refusal(ours_->Issue("late", {.days = -1})), HasSubstr("valid today"));
}

TEST_F(WithCertificates, AClientRefusesACoordinatorOfAnotherAuthority) {
  Listen(theirs_->Issue("server"));
  EXPECT_THAT(Refusal(ours_->Issue("member")), HasSubstr("signed by tls.ca"));
}

TEST_F(WithCertificates, AClientRefusesAnExpiredCoordinator) {
  Listen(ours_->Issue("server", {.days = -1}));
  EXPECT_THAT(Refusal(ours_->Issue("member")), HasSubstr("valid today"));
}

TEST_F(WithCertificates, ACoordinatorMustBeNamedInItsCertificate) {
  Listen(ours_->Issue("server", {.alternative_names = "DNS:head-node"}));
  Tls tls = ours_->Issue("member");
  EXPECT_THAT(Refusal(tls), HasSubstr("name this host"));
  tls.server_name = "head-node";
  EXPECT_NO_THROW(Ask(tls));
}

TEST_F(WithCertificates, AClientThatWantsTlsDoesNotTalkInPlainText) {
  Listen({});
  EXPECT_THAT(Refusal(ours_->Issue("member")), HasSubstr("with TLS?"));
}

TEST_F(WithCertificates, MissingAndMismatchedFilesAreToldAtTheStart) {
  Tls tls = ours_->Issue("server");
  tls.key = ours_->Issue("other").key;
  EXPECT_THAT(test::MessageOf<ConfigError>([&] { Listen(tls); }), HasSubstr("key not that of the certificate"));
  tls.key = "/no/such.key";
  EXPECT_THAT(test::MessageOf<ConfigError>([&] { Listen(tls); }), HasSubstr("/no/such.key"));
  tls.key.clear();
  EXPECT_THAT(test::MessageOf<ConfigError>([&] { Listen(tls); }), HasSubstr("tls.key is missing"));
  tls.key = std::string(BASIN_SOURCE_DIR) + "/LICENSE";
  EXPECT_THAT(test::MessageOf<ConfigError>([&] { Listen(tls); }), HasSubstr("is not a PEM file"));
}

}  // namespace
}  // namespace basin::coordinator
