//! The working directory, without a heap.

use crate::raw::syscall3;
use linux_raw_sys::general::__NR_getcwd;
use rustix::io::Errno;

/// getcwd(2) into `buffer`: the path without its NUL. Begins with `(unreachable)` where it lies outside the root.
pub fn current_directory(buffer: &mut [u8]) -> Result<&[u8], Errno> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes there.
    let len = unsafe { syscall3(__NR_getcwd, buffer.as_mut_ptr().addr(), buffer.len(), 0) }?;
    buffer.get(..len.saturating_sub(1)).ok_or(Errno::RANGE)
}
