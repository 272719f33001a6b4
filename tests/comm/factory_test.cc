#include "comm/factory.h"

#include <gmock/gmock.h>

#include <map>

#include "base/error.h"

namespace basin::comm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;
using Environment = std::map<std::string, std::string>;

LaunchInfo Read(const Environment& environment) {
  return ReadLaunchInfo([&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

void ExpectLaunch(const LaunchInfo& info, const LaunchInfo& expected) {
  EXPECT_EQ(info.launcher, expected.launcher);
  EXPECT_EQ(info.rank, expected.rank);
  EXPECT_EQ(info.size, expected.size);
  EXPECT_EQ(info.local_rank, expected.local_rank);
  EXPECT_EQ(info.local_size, expected.local_size);
}

const Environment kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "5"},
                              {"OMPI_COMM_WORLD_SIZE", "8"},
                              {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                              {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
                              {"PMIX_RANK", "5"}};
const Environment kSlurmStep = {{"SLURM_STEP_ID", "0"},
                                {"SLURM_PROCID", "6"},
                                {"SLURM_NTASKS", "11"},
                                {"SLURM_LOCALID", "2"},
                                {"SLURM_STEP_TASKS_PER_NODE", "4(x2),3"}};

Environment With(Environment environment, const std::string& name, const std::string& value) {
  environment[name] = value;
  return environment;
}

TEST(LaunchInfo, WithoutALauncherTheProcessIsAlone) {
  ExpectLaunch(Read({}), {"none", 0, 1, 0, 1});
  ExpectLaunch(Read({{"PATH", "/bin"}, {"PMIX_RANK", ""}}), {"none", 0, 1, 0, 1});
}

TEST(LaunchInfo, OpenMpiTellsRankSizeAndHost) { ExpectLaunch(Read(kOpenMpi), {"openmpi", 5, 8, 1, 4}); }

TEST(LaunchInfo, SlurmStepTellsRankSizeAndFullestHost) {
  ExpectLaunch(Read(kSlurmStep), {"slurm", 6, 11, 2, 4});
  ExpectLaunch(Read(With(kSlurmStep, "SLURM_STEP_TASKS_PER_NODE", "2,12(x3)")), {"slurm", 6, 11, 2, 11});
}

TEST(LaunchInfo, TheStepsSizeIsPreferredToTheAllocations) {
  EXPECT_EQ(Read(With(kSlurmStep, "SLURM_STEP_NUM_TASKS", "7")).size, 7);
}

TEST(LaunchInfo, ABatchScriptIsAloneHoweverLargeItsAllocation) {
  ExpectLaunch(Read({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "16"}}), {"none", 0, 1, 0, 1});
}

// What salloc's shell hands down on a cluster whose default is PMIx.
TEST(LaunchInfo, TheShellOfAnInteractiveAllocationIsAloneToo) {
  const Environment shell = {{"SLURM_STEP_ID", "4294967290"},    {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"},
                             {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_LOCALID", "0"}, {"PMIX_RANK", "0"}};
  ExpectLaunch(Read(shell), {"none", 0, 1, 0, 1});
  Environment under_mpirun = kOpenMpi;
  under_mpirun.insert(shell.begin(), shell.end());
  ExpectLaunch(Read(under_mpirun), {"openmpi", 5, 8, 1, 4});
}

TEST(LaunchInfo, PmixUnderSlurmTakesItsSizeFromSlurm) {
  ExpectLaunch(Read(With(kSlurmStep, "PMIX_RANK", "6")), {"pmix", 6, 11, 2, 4});
}

TEST(LaunchInfo, PmixWithoutASizeIsRefused) {
  EXPECT_THAT([] { Read({{"PMIX_RANK", "2"}}); },
              ThrowsMessage<ConfigError>(AllOf(HasSubstr("PMIX_RANK is 2"), HasSubstr("mpirun -n N"))));
}

TEST(LaunchInfo, NonsenseInTheEnvironmentIsRefusedByName) {
  for (const char* value : {"abc", "3x", "-1", "99999999999", " 3"}) {
    EXPECT_THAT([&] { Read(With(kOpenMpi, "OMPI_COMM_WORLD_RANK", value)); },
                ThrowsMessage<ConfigError>(AllOf(HasSubstr("OMPI_COMM_WORLD_RANK"), HasSubstr(value))));
  }
  EXPECT_THAT([] { Read(With(kOpenMpi, "OMPI_COMM_WORLD_RANK", "8")); },
              ThrowsMessage<ConfigError>(HasSubstr("rank 8, local rank 1 of 8 ranks")));
}

TEST(LaunchInfo, AnUnreadableTaskListMeansOneHost) {
  EXPECT_EQ(Read(With(kSlurmStep, "SLURM_STEP_TASKS_PER_NODE", "many")).local_size, 11);
}

const LaunchInfo kAlone{"none", 0, 1, 0, 1};
const LaunchInfo kFourHere{"openmpi", 1, 4, 1, 4};
const LaunchInfo kOneLaunched{"openmpi", 0, 1, 0, 1};
const torch::Device kGpu(torch::kCUDA, 0);

Backend Resolve(Backend wanted, const LaunchInfo& launch, torch::Device device, int gpus, bool nccl = true) {
  return ResolveBackend({.backend = wanted}, launch, device, gpus, nccl);
}

TEST(ResolveBackend, AutoIsInProcessAloneAndMpiUnderALauncher) {
  EXPECT_EQ(Resolve(Backend::kAuto, kAlone, torch::kCPU, 0), Backend::kInProcess);
  EXPECT_EQ(Resolve(Backend::kAuto, kAlone, kGpu, 8), Backend::kInProcess);
  EXPECT_EQ(Resolve(Backend::kAuto, kFourHere, torch::kCPU, 8), Backend::kMpi);
  EXPECT_EQ(Resolve(Backend::kAuto, kOneLaunched, torch::kCPU, 0), Backend::kMpi);
}

TEST(ResolveBackend, AutoIsNcclOnlyWhenEveryRankOfTheHostHasItsOwnGpu) {
  EXPECT_EQ(Resolve(Backend::kAuto, kFourHere, kGpu, 4), Backend::kNccl);
  EXPECT_EQ(Resolve(Backend::kAuto, kFourHere, kGpu, 3), Backend::kMpi);
  EXPECT_EQ(Resolve(Backend::kAuto, kFourHere, kGpu, 4, /*nccl=*/false), Backend::kMpi);
}

TEST(ResolveBackend, TheDecisionIsTheSameOnEveryRankOfAHost) {
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(Resolve(Backend::kAuto, {"openmpi", rank, 4, rank, 4}, kGpu, 2), Backend::kMpi);
  }
}

TEST(ResolveBackend, WhatIsPossibleIsGranted) {
  EXPECT_EQ(Resolve(Backend::kInProcess, kAlone, torch::kCPU, 0), Backend::kInProcess);
  EXPECT_EQ(Resolve(Backend::kInProcess, kOneLaunched, torch::kCPU, 0), Backend::kInProcess);
  EXPECT_EQ(Resolve(Backend::kMpi, kFourHere, kGpu, 4), Backend::kMpi);
  EXPECT_EQ(Resolve(Backend::kNccl, kFourHere, kGpu, 4), Backend::kNccl);
}

struct Refusal {
  Backend backend;
  LaunchInfo launch;
  torch::Device device;
  int gpus;
  bool nccl;
  const char* why;
  const char* way_out;
};

TEST(ResolveBackend, WhatIsImpossibleIsRefusedWithTheWayOut) {
  const Refusal refusals[] = {
      {Backend::kMpi, kAlone, torch::kCPU, 0, true, "no launcher", "mpirun -n N"},
      {Backend::kInProcess, kFourHere, torch::kCPU, 0, true, "(openmpi) started 4 processes", "without mpirun"},
      {Backend::kNccl, kFourHere, kGpu, 4, false, "this build has no NCCL", "launch/setup.sh --cuda"},
      {Backend::kNccl, kAlone, kGpu, 4, true, "no launcher", "mpirun -n N"},
      {Backend::kNccl, kFourHere, kGpu, 0, true, "no GPU", "nvidia-smi"},
      {Backend::kNccl, kFourHere, torch::kCPU, 4, true, "the device is cpu", "device: cuda"},
      {Backend::kNccl, kFourHere, kGpu, 2, true, "4 ranks and 2 GPUs", "fewer ranks"},
  };
  for (const Refusal& refusal : refusals) {
    EXPECT_THAT([&] { Resolve(refusal.backend, refusal.launch, refusal.device, refusal.gpus, refusal.nccl); },
                ThrowsMessage<ConfigError>(AllOf(HasSubstr(Text("comm.backend is ", BackendName(refusal.backend))),
                                                 HasSubstr(refusal.why), HasSubstr(refusal.way_out))));
  }
}

TEST(Backends, HaveTheNamesOfTheConfiguration) {
  EXPECT_EQ(BackendName(Backend::kAuto), "auto");
  EXPECT_EQ(BackendName(Backend::kInProcess), "in_process");
  EXPECT_EQ(BackendName(Backend::kMpi), "mpi");
  EXPECT_EQ(BackendName(Backend::kNccl), "nccl");
}

TEST(Nccl, SaysItsVersionOrThatItIsMissing) {
  EXPECT_EQ(NcclVersionText() == "not built in", !HasNccl());
}

}  // namespace
}  // namespace basin::comm
