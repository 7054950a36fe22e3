//! Becoming another program, and leaving.

use crate::raw::{syscall3, syscall6};
use core::ffi::CStr;
use core::marker::PhantomData;
use linux_raw_sys::general::{__NR_execve, __NR_execveat, __NR_exit_group, AT_EMPTY_PATH};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

/// An argument or environment vector as the kernel wants it: pointers, the last of them null.
pub struct Words<'a> {
    table: &'a [usize],
    strings: PhantomData<&'a CStr>,
}

impl<'a> Words<'a> {
    /// Fill `table` with `words`. `None` if it has no room for them and the null at the end.
    pub fn new(table: &'a mut [usize], words: impl Iterator<Item = &'a CStr>) -> Option<Self> {
        let mut used = 0usize;
        for word in words {
            *table.get_mut(used)? = word.as_ptr().addr();
            used = used.checked_add(1)?;
        }
        *table.get_mut(used)? = 0;
        Some(Self { table, strings: PhantomData })
    }

    /// The empty vector.
    pub const fn none() -> Self {
        Self { table: &[0], strings: PhantomData }
    }
}

/// `execve(2)`. Returns only to say why not.
pub fn execve(path: &CStr, args: &Words<'_>, env: &Words<'_>) -> Errno {
    let (path, args, env) = (path.as_ptr().addr(), args.table.as_ptr().addr(), env.table.as_ptr().addr());
    // SAFETY: `Words` guarantees null-terminated tables of live C strings.
    let ret = unsafe { syscall3(__NR_execve, path, args, env) };
    ret.err().unwrap_or(Errno::NOEXEC)
}

/// `execveat(2)` of the file behind `exe`. Returns only to say why not.
pub fn execve_fd(exe: BorrowedFd<'_>, args: &Words<'_>, env: &Words<'_>) -> Errno {
    let arguments = [
        exe.as_raw_fd() as usize,
        c"".as_ptr().addr(),
        args.table.as_ptr().addr(),
        env.table.as_ptr().addr(),
        AT_EMPTY_PATH as usize,
        0,
    ];
    // SAFETY: as for `execve`; the empty path means the descriptor itself.
    let ret = unsafe { syscall6(__NR_execveat, arguments) };
    ret.err().unwrap_or(Errno::NOEXEC)
}

/// `exit_group(2)`: no destructor, no flush.
pub fn exit(status: u8) -> ! {
    loop {
        // SAFETY: exit_group touches no memory of ours, and does not return.
        let _ = unsafe { syscall3(__NR_exit_group, status as usize, 0, 0) };
    }
}
