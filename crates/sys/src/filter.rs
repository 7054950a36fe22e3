//! Seccomp filters.

use crate::raw::syscall3;
use linux_raw_sys::general::__NR_seccomp;
use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::Errno;

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`: the answer is the descriptor of who is notified.
pub const NEW_LISTENER: u32 = 1 << 3;

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    len: u16,
    instructions: usize,
}

/// Whether the kernel knows a flag. Nothing is loaded: it looks at the flags before it looks for the filter, and finds none.
pub fn knows(flag: u32) -> bool {
    const SET_MODE_FILTER: usize = 1;
    // WAIT_KILLABLE_RECV is refused without a listener.
    // SAFETY: the null address is not read: the kernel answers EFAULT.
    let answer = unsafe { syscall3(__NR_seccomp, SET_MODE_FILTER, (flag | NEW_LISTENER) as usize, 0) };
    answer.err() == Some(Errno::FAULT)
}

/// seccomp(2), SECCOMP_SET_MODE_FILTER, for the calling thread. `filter` is instructions of eight bytes as the kernel has
/// them. The listener, close-on-exec, if `flags` ask for one.
pub fn load(filter: &[u8], flags: u32) -> Result<Option<OwnedFd>, Errno> {
    const SET_MODE_FILTER: usize = 1;
    let (instructions, rest) = filter.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Errno::INVAL);
    }
    let len = u16::try_from(instructions.len()).map_err(|_| Errno::INVAL)?;
    let program = Program { len, instructions: filter.as_ptr().addr() };
    // SAFETY: the kernel copies the program and `len` instructions from where it points, which is all of `filter`.
    let answer = unsafe { syscall3(__NR_seccomp, SET_MODE_FILTER, flags as usize, (&raw const program).addr()) }?;
    if flags & NEW_LISTENER == 0 {
        // With TSYNC the number of a thread that could not follow.
        return if answer == 0 { Ok(None) } else { Err(Errno::SRCH) };
    }
    // SAFETY: a fresh descriptor that nobody else has.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(answer as i32) }))
}
