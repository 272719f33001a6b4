# Imported targets for LibTorch, made by hand: find_package(Torch) of the wheel demands a CUDA toolkit and puts an
# old copy of protobuf's headers on everybody's path (docs/decisions.md).
#
# Looked for in: -DBASIN_TORCH_DIR, the environment variable BASIN_TORCH_DIR, ./.venv (made by launch/setup.sh).
# BASIN_TORCH_DIR is the folder that holds include/ and lib/: a wheel's site-packages/torch or an unpacked LibTorch zip.
file(GLOB _basin_venv_torch "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
find_path(BASIN_TORCH_DIR NAMES include/ATen/ATen.h
  HINTS "$ENV{BASIN_TORCH_DIR}" ${_basin_venv_torch} NO_DEFAULT_PATH
  DOC "LibTorch: the folder that holds include/ and lib/")
if(NOT BASIN_TORCH_DIR)
  message(FATAL_ERROR "LibTorch was not found. Run launch/setup.sh, or pass -DBASIN_TORCH_DIR=/path/to/libtorch "
    "(the folder that holds include/ and lib/), or set the environment variable BASIN_TORCH_DIR.")
endif()
file(STRINGS "${BASIN_TORCH_DIR}/include/torch/headeronly/version.h" _version_lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
string(REGEX REPLACE "[^0-9;]+" "" BASIN_TORCH_VERSION "${_version_lines}")
string(REPLACE ";" "." BASIN_TORCH_VERSION "${BASIN_TORCH_VERSION}")
message(STATUS "LibTorch ${BASIN_TORCH_VERSION} at ${BASIN_TORCH_DIR}")

get_filename_component(_site_packages "${BASIN_TORCH_DIR}" DIRECTORY)
set(_torch_lib "${BASIN_TORCH_DIR}/lib")
set(_nvidia "${_site_packages}/nvidia")
set(_rpath "${_torch_lib};${_nvidia}/cu13/lib;${_nvidia}/nccl/lib")

add_library(basin_torch INTERFACE)
add_library(basin::torch ALIAS basin_torch)
target_include_directories(basin_torch SYSTEM INTERFACE
  "${BASIN_TORCH_DIR}/include" "${BASIN_TORCH_DIR}/include/torch/csrc/api/include")
target_link_options(basin_torch INTERFACE "-Wl,--no-as-needed")
target_link_libraries(basin_torch INTERFACE "${_torch_lib}/libtorch_cpu.so" "${_torch_lib}/libc10.so")
foreach(_dir IN LISTS _rpath)
  target_link_options(basin_torch INTERFACE "-Wl,-rpath,${_dir}" "-Wl,-rpath-link,${_dir}")
endforeach()

if(BASIN_CUDA)
  foreach(_file "${_torch_lib}/libtorch_cuda.so" "${_nvidia}/nccl/include/nccl.h" "${_nvidia}/nccl/lib/libnccl.so.2"
                "${_nvidia}/cu13/include/cuda_runtime_api.h" "${_nvidia}/cu13/lib/libcudart.so.13")
    if(NOT EXISTS "${_file}")
      message(FATAL_ERROR "BASIN_CUDA is on, but ${_file} is missing. Run launch/setup.sh --cuda.")
    endif()
  endforeach()
  target_link_libraries(basin_torch INTERFACE "${_torch_lib}/libtorch.so" "${_torch_lib}/libtorch_cuda.so"
    "${_torch_lib}/libc10_cuda.so" "${_nvidia}/cu13/lib/libcudart.so.13" "${_nvidia}/nccl/lib/libnccl.so.2")
endif()

# basin_cuda_sources(<file> ...): the files of this folder that look at BASIN_WITH_CUDA. It is theirs alone: all other files
# are compiled alike with and without CUDA.
function(basin_cuda_sources)
  if(BASIN_CUDA)
    set_source_files_properties(${ARGN} PROPERTIES SKIP_PRECOMPILE_HEADERS ON COMPILE_DEFINITIONS BASIN_WITH_CUDA=1
      COMPILE_OPTIONS "-isystem${_nvidia}/cu13/include;-isystem${_nvidia}/nccl/include")
  endif()
endfunction()
