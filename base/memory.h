// How the process deals with memory that it has freed.
#pragma once

namespace basin::base {

/// Tells the C library to keep freed memory for the next allocation instead of giving it back to the system. A training
/// step frees and asks for the same large activations each time; given back, each page costs a fault and a fill with
/// zeros at every step. Price: the process stays at its peak size. Call once, first thing in main, before any thread
/// starts. Does nothing where the C library is not glibc.
void KeepFreedMemory();

}  // namespace basin::base
