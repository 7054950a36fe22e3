//! Scheduling attributes, I/O priority, execution domain.

use crate::raw::syscall3;
use linux_raw_sys::general::{__NR_ioprio_set, __NR_personality, __NR_sched_setaffinity, __NR_sched_setattr};
use rustix::io::Errno;

/// `struct sched_attr` of sched_setattr(2), version 0 (Linux 3.14).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// For `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub runtime: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub deadline: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub period: u64,
}

/// `sched_setattr(2)` of the calling thread.
pub fn set(attributes: Attributes) -> Result<(), Errno> {
    let attributes = Attributes { size: size_of::<Attributes>() as u32, ..attributes };
    // SAFETY: the kernel reads one `sched_attr` of the size that its first field names.
    unsafe { syscall3(__NR_sched_setattr, 0, (&raw const attributes).addr(), 0) }.map(drop)
}

/// `ioprio_set(2)` of the calling process. `value` is class and priority as the kernel packs them.
pub fn set_io_priority(value: u32) -> Result<(), Errno> {
    const WHO_PROCESS: usize = 1;
    // SAFETY: three numbers.
    unsafe { syscall3(__NR_ioprio_set, WHO_PROCESS, 0, value as usize) }.map(drop)
}

/// `personality(2)`.
pub fn set_personality(persona: u32) -> Result<(), Errno> {
    // SAFETY: one number.
    unsafe { syscall3(__NR_personality, persona as usize, 0, 0) }.map(drop)
}

/// `sched_setaffinity(2)` of the calling thread to the processors of `mask`, a bit each, lowest first.
pub fn use_processors(mask: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads the mask's bytes. It wants whole words of them, and is told of no more than there are.
    unsafe { syscall3(__NR_sched_setaffinity, 0, mask.len(), mask.as_ptr().addr()) }.map(drop)
}

/// `sched_setaffinity(2)` of the calling thread to all processors; the kernel leaves out what the cpuset does not allow.
pub fn use_every_processor() -> Result<(), Errno> {
    // 8192 processors: as many as Linux can be built for.
    let all = [u64::MAX; 128];
    // SAFETY: the kernel reads the mask's 1024 bytes.
    unsafe { syscall3(__NR_sched_setaffinity, 0, size_of_val(&all), (&raw const all).addr()) }.map(drop)
}
