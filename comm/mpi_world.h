// All ranks of a session as communicators of MPI. Part of the door to mpi.h: included by mpi.cc and mpi_session.cc only.
#pragma once

#include <mpi.h>

#include <chrono>
#include <vector>

#include "comm/mpi.h"
#include "comm/mpi_flight.h"
#include "comm/mpi_progress.h"

namespace basin::comm {

/// A context of its own for messages between all ranks. CommError, and the session is marked as broken, when not all come in time. Collective.
MPI_Comm DuplicateWorld(MpiSession& session, std::chrono::milliseconds timeout);

/// Made while all ranks were there, for when some are gone.
struct MpiSession::Reserve {
  std::vector<MPI_Comm> comms;
};

}  // namespace basin::comm
