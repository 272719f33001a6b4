#include "trainer/data_plane.h"

#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#if defined(BASIN_WITH_CUDA)
#include "comm/nccl.h"
#endif

namespace basin::trainer {

DataPlane::DataPlane(comm::MpiSession& session, comm::Communicator& bootstrap, const Options& options)
    : session_(session), options_(options) {
  all_ = is_nccl() ? OverNccl(bootstrap) : comm::MakeMpi(session, options_.timeout, options_.device);
}

void DataPlane::Reserve() {
  session_.ReserveGroups(session_.size() - 1);
  const char* recovery = std::getenv("OMPI_MCA_orte_enable_recovery");
  if (session_.rank() == 0 && (recovery == nullptr || std::string_view(recovery) != "1")) {
    base::LogWarning("coordinator.on_loss is continue, but mpirun ends all ranks when one dies; start it with --enable-recovery");
  }
}

std::unique_ptr<comm::Communicator> DataPlane::Over(const NewGroup& left) {
  const comm::MpiGroup group{.number = static_cast<int>(left.epoch) - 2, .members = left.members};
  if (!is_nccl()) return comm::MakeMpiGroup(session_, group, options_.timeout, options_.device);
  bootstraps_.push_back(comm::MakeMpiGroup(session_, group, options_.timeout));
  return OverNccl(*bootstraps_.back());
}

std::unique_ptr<comm::Communicator> DataPlane::OverNccl(comm::Communicator& bootstrap) const {
#if defined(BASIN_WITH_CUDA)
  return comm::MakeNccl(bootstrap, options_.device, options_.timeout);
#else
  throw CheckFailed(Text("built without CUDA, and yet nccl was chosen for ", bootstrap.size(), " ranks"));
#endif
}

}  // namespace basin::trainer
