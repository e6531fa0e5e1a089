# Given as CMAKE_PROJECT_INCLUDE where the package is built against the ROS 2 wheels. Their imported targets name include folders
# of the machine that made the wheels, and CMake refuses a folder that does not exist: such folders are dropped here, after all
# packages have been found. CMakeLists.txt itself needs none of this with a ROS 2 distribution.
cmake_minimum_required(VERSION 3.21)

function(drop_missing_include_folders)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(folders "${target}" INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(present "")
    foreach(folder IN LISTS folders)
      if(folder MATCHES "^\\$<" OR EXISTS "${folder}")
        list(APPEND present "${folder}")
      endif()
    endforeach()
    set_target_properties("${target}" PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${present}")
  endforeach()
endfunction()

cmake_language(DEFER CALL drop_missing_include_folders)
