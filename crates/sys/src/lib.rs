//! The kernel door: the system calls that rustix does not offer, each behind a safe function whose
//! signature cannot be misused. The only library crate with `unsafe`; `no_std`, so that init can link it.

#![no_std]
#![allow(unsafe_code)]
// What a system call returns is a descriptor, a process number or a length: the kernel's int, in a register.
#![allow(clippy::cast_possible_truncation)]

pub mod bpf;
pub mod clone;
pub mod command;
pub mod exec;
pub mod fd;
pub mod filter;
pub mod hold;
pub mod keyring;
pub mod limit;
pub mod map;
pub mod mount;
pub mod net;
pub mod ns;
pub mod path;
pub mod probe;
pub mod raw;
pub mod sched;
pub mod signal;
pub mod socket;
