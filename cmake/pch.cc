// Exists so that one target owns the precompiled LibTorch header (cmake/BasinTarget.cmake).
