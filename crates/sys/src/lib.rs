//! The kernel door: the system calls that rustix does not offer, each behind a safe function whose
//! signature cannot be misused. The only library crate with `unsafe`; `no_std`, so that init can link it.

#![no_std]
#![allow(unsafe_code)]

pub mod bpf;
pub mod clone;
pub mod exec;
pub mod fd;
pub mod keyring;
pub mod limit;
pub mod map;
pub mod mount;
pub mod net;
pub mod ns;
pub mod path;
pub mod raw;
pub mod sched;
pub mod signal;
pub mod socket;
