# Text files as constants of a program. As a module: basin_embed(<target> <namespace> <constant>=<file> ...) adds a source to the
# target that defines `extern const std::string_view <constant>` for each file, made anew when a file changes. As a script
# (cmake -P) it writes that source.

function(basin_embed target namespace)
  set(output "${CMAKE_CURRENT_BINARY_DIR}/${target}_files.cc")
  set(files ${ARGN})
  list(TRANSFORM files REPLACE "^[^=]*=" "")
  string(REPLACE ";" "|" pairs "${ARGN}")
  add_custom_command(OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DBASIN_EMBED_NAMESPACE=${namespace}" "-DBASIN_EMBED_FILES=${pairs}" "-DBASIN_EMBED_OUTPUT=${output}"
      -P "${PROJECT_SOURCE_DIR}/cmake/Embed.cmake"
    DEPENDS ${files} "${PROJECT_SOURCE_DIR}/cmake/Embed.cmake"
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" VERBATIM)
  target_sources(${target} PRIVATE "${output}")
endfunction()

if(DEFINED BASIN_EMBED_OUTPUT)
  set(source "#include <string_view>\n\nnamespace ${BASIN_EMBED_NAMESPACE} {\n")
  string(REPLACE "|" ";" pairs "${BASIN_EMBED_FILES}")
  foreach(pair IN LISTS pairs)
    string(REGEX MATCH "^([^=]*)=(.*)$" _ "${pair}")
    set(constant "${CMAKE_MATCH_1}")
    file(READ "${CMAKE_MATCH_2}" text)
    string(FIND "${text}" ")basin\"" closing)
    if(NOT closing EQUAL -1)
      message(FATAL_ERROR "${CMAKE_MATCH_2} contains )basin\", which ends a raw string here; choose another delimiter")
    endif()
    string(APPEND source "extern const std::string_view ${constant};\nconst std::string_view ${constant} = R\"basin(${text})basin\";\n")
  endforeach()
  file(WRITE "${BASIN_EMBED_OUTPUT}" "${source}}  // namespace ${BASIN_EMBED_NAMESPACE}\n")
endif()
