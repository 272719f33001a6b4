# Compile through ccache where it is installed. The settings below make precompiled headers cacheable; depend mode takes the
# headers from the compiler's own list instead of preprocessing every file a second time.
find_program(BASIN_CCACHE ccache)
if(BASIN_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    "CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime"
    "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" "CCACHE_NOHASHDIR=1" "CCACHE_DEPEND=1" ${BASIN_CCACHE})
endif()
