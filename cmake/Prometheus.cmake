# prometheus-cpp as the target basin_prometheus, file by file: its CMake package asks for the development files of curl, which only
# its push part needs.
find_path(BASIN_PROMETHEUS_INCLUDE prometheus/exposer.h)
find_library(BASIN_PROMETHEUS_CORE prometheus-cpp-core)
find_library(BASIN_PROMETHEUS_PULL prometheus-cpp-pull)
if(NOT BASIN_PROMETHEUS_INCLUDE OR NOT BASIN_PROMETHEUS_CORE OR NOT BASIN_PROMETHEUS_PULL)
  message(FATAL_ERROR "prometheus-cpp was not found. Run launch/setup.sh, or install prometheus-cpp-dev.")
endif()
add_library(basin_prometheus INTERFACE)
target_include_directories(basin_prometheus SYSTEM INTERFACE ${BASIN_PROMETHEUS_INCLUDE})
target_link_libraries(basin_prometheus INTERFACE ${BASIN_PROMETHEUS_PULL} ${BASIN_PROMETHEUS_CORE})
