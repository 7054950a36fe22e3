//! Resource limits by number, prlimit(2): rustix's own enum would need a table in init.

use crate::raw::syscall6;
use linux_raw_sys::general::{__NR_prlimit64, rlimit64};
use rustix::io::Errno;

/// Set limit `resource` of the calling process. `u64::MAX` is no limit.
pub fn set(resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let new = rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads one `rlimit64`, and writes none.
    unsafe { syscall6(__NR_prlimit64, [0, resource as usize, (&raw const new).addr(), 0, 0, 0]) }.map(drop)
}

/// The hard limit `resource` of the calling process.
pub fn hard(resource: u32) -> Result<u64, Errno> {
    let mut old = rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit64`.
    unsafe { syscall6(__NR_prlimit64, [0, resource as usize, 0, (&raw mut old).addr(), 0, 0]) }?;
    Ok(old.rlim_max)
}
