//! Init: the program that walks a plan inside the container, and then becomes the container's process.
//!
//! It is executed from a sealed file right after the clone, so nothing of the host's binary, memory, environment
//! or descriptors is in the container. No libc, no heap, no formatting: it makes system calls, and says which step
//! failed, by number. This library is all of it but the entry point (`main.rs`).

#![cfg_attr(not(test), no_std)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

mod copyup;
mod devices;
mod fd;
mod hands;
mod hook;
mod identity;
mod mounts;
mod path;
mod procfs;
mod program;
mod root;
mod seccomp;
mod serve;
mod terminal;
mod walk;

pub use walk::{panicked, walk};

/// Where this crate's sources are, for the build script that makes the program of it.
pub const DIR: &str = env!("CARGO_MANIFEST_DIR");
