# basin_library, basin_program and basin_test: what every target of the house has in common.

add_library(basin_options INTERFACE)
target_include_directories(basin_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(basin_options INTERFACE -Wall -Wextra -Werror -ffp-contract=off
  $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>  # else ccache cannot follow the precompiled header
  "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>"  # the precompiled header does not depend on the times of files
  -Wno-missing-field-initializers)  # designated initialisers leave defaults on purpose
# vptr and function want type information that LibTorch's symbols hide.
set(_address_and_undefined -fsanitize=address,undefined -fno-sanitize=vptr,function)
if(BASIN_SANITIZE STREQUAL "address")
  target_compile_options(basin_options INTERFACE -g1 ${_address_and_undefined} -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(basin_options INTERFACE ${_address_and_undefined})
elseif(BASIN_SANITIZE STREQUAL "thread")
  target_compile_options(basin_options INTERFACE -g1 -fsanitize=thread -fno-omit-frame-pointer $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  target_link_options(basin_options INTERFACE -fsanitize=thread)
elseif(BASIN_SANITIZE STREQUAL "fuzzer")
  target_compile_options(basin_options INTERFACE -g ${_address_and_undefined} -fsanitize=fuzzer-no-link
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(basin_options INTERFACE ${_address_and_undefined})
elseif(BASIN_SANITIZE)
  message(FATAL_ERROR "BASIN_SANITIZE is '${BASIN_SANITIZE}'; allowed: address, thread, fuzzer, or empty")
endif()

# LibTorch's headers cost 14 s a file; one precompiled header serves every target that links basin::torch.
add_library(basin_pch OBJECT "${PROJECT_SOURCE_DIR}/cmake/pch.cc")
target_link_libraries(basin_pch PRIVATE basin_options basin_torch)
target_precompile_headers(basin_pch PRIVATE <torch/nn.h> <torch/types.h> <algorithm> <cmath> <functional>
  <map> <memory> <sstream> <string> <vector>)

# basin_library(<room> [TORCH] SOURCES ... [LINK ...] [PRIVATE_LINK ...]): target basin_<room>, alias basin::<room>.
function(basin_library room)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(basin_${room} STATIC ${ARG_SOURCES})
  add_library(basin::${room} ALIAS basin_${room})
  target_link_libraries(basin_${room} PUBLIC ${ARG_LINK} PRIVATE basin_options ${ARG_PRIVATE_LINK})
  target_include_directories(basin_${room} PUBLIC "${PROJECT_SOURCE_DIR}")
  if(ARG_TORCH)
    target_link_libraries(basin_${room} PUBLIC basin_torch)
    target_precompile_headers(basin_${room} REUSE_FROM basin_pch)
  endif()
endfunction()

# basin_program(<name> [TORCH] SOURCES ... LINK ...): an executable in bin/.
function(basin_program name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE basin_options ${ARG_LINK})
  if(ARG_TORCH)
    target_link_libraries(${name} PRIVATE basin_torch)
    target_precompile_headers(${name} REUSE_FROM basin_pch)
  endif()
endfunction()

foreach(_label unit gpu)
  add_custom_target(${_label}_tests COMMENT "What ctest -L ${_label} runs")
endforeach()

# basin_test(<name> [TORCH] [LABELS unit] [TIMEOUT s] [RANKS n] [MAIN file] LINK ...): <name>_test.cc of this folder,
# as target and ctest entry <folder>_<name>. With RANKS n it runs under mpirun.
function(basin_test name)
  cmake_parse_arguments(ARG "TORCH" "TIMEOUT;MAIN" "LABELS;LINK;RANKS;SOURCES" ${ARGN})
  get_filename_component(folder "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
  set(target ${folder}_${name}_test)
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${target} ${name}_test.cc ${ARG_SOURCES} ${ARG_MAIN})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  target_link_libraries(${target} PRIVATE basin_options ${ARG_LINK} GTest::gmock)
  if(NOT ARG_MAIN)
    target_link_libraries(${target} PRIVATE GTest::gtest_main)
  endif()
  if(ARG_TORCH)
    target_link_libraries(${target} PRIVATE basin_torch)
    target_precompile_headers(${target} REUSE_FROM basin_pch)
  endif()
  target_compile_definitions(${target} PRIVATE BASIN_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    BASIN_BINARY_DIR="${PROJECT_BINARY_DIR}")
  foreach(label unit gpu)
    if(label IN_LIST ARG_LABELS)
      add_dependencies(${label}_tests ${target})
    endif()
  endforeach()
  if(ARG_RANKS)
    foreach(ranks IN LISTS ARG_RANKS)
      add_test(NAME ${folder}_${name}_${ranks}_ranks COMMAND ${BASIN_MPIRUN} -n ${ranks} $<TARGET_FILE:${target}>)
      set_tests_properties(${folder}_${name}_${ranks}_ranks PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
        ENVIRONMENT "OMP_NUM_THREADS=1" RUN_SERIAL ON)
    endforeach()
  else()
    add_test(NAME ${folder}_${name} COMMAND ${target})
    # One thread inside LibTorch: ctest runs as many tests as there are cores, and spinning threads would fight for them.
    set_tests_properties(${folder}_${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
      ENVIRONMENT "OMP_NUM_THREADS=1"
      SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\] [0-9]+ test.*\n.*\n*$^")
  endif()
endfunction()
