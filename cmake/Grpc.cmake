# gRPC and protobuf as the target basin_grpc, found file by file: the CMake packages of Debian and Ubuntu name programs
# that their development packages do not install, and LibTorch brings headers of another protobuf that must not be found.
find_program(BASIN_PROTOC protoc)
find_program(BASIN_GRPC_PLUGIN grpc_cpp_plugin)
find_path(BASIN_GRPC_INCLUDE grpcpp/grpcpp.h)
find_path(BASIN_PROTOBUF_INCLUDE google/protobuf/message.h)
# gRPC's headers use abseil's mutex inline.
foreach(_library grpc++ grpc gpr absl_synchronization protobuf)
  string(MAKE_C_IDENTIFIER "BASIN_LIB_${_library}" _variable)
  find_library(${_variable} ${_library})
  list(APPEND _grpc_parts ${_variable})
endforeach()
foreach(_part BASIN_PROTOC BASIN_GRPC_PLUGIN BASIN_GRPC_INCLUDE BASIN_PROTOBUF_INCLUDE ${_grpc_parts})
  if(NOT ${_part})
    message(FATAL_ERROR "gRPC or protobuf is incomplete (${_part} was not found). Run launch/setup.sh, or install "
      "libgrpc++-dev libabsl-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc.")
  endif()
  list(APPEND _grpc_found "${${_part}}")
endforeach()
find_package(Threads REQUIRED)

add_library(basin_grpc INTERFACE)
target_include_directories(basin_grpc SYSTEM INTERFACE ${BASIN_GRPC_INCLUDE} ${BASIN_PROTOBUF_INCLUDE})
foreach(_part IN LISTS _grpc_parts)
  target_link_libraries(basin_grpc INTERFACE "${${_part}}")
endforeach()
target_link_libraries(basin_grpc INTERFACE Threads::Threads)
