# Compile through ccache where it is installed. GCC's precompiled headers need the two settings below to be cacheable.
find_program(BASIN_CCACHE ccache)
if(BASIN_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    "CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime"
    "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" "CCACHE_NOHASHDIR=1" ${BASIN_CCACHE})
endif()
