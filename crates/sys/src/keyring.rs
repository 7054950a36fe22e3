//! Session keyrings, keyctl(2).

use crate::raw::syscall6;
use core::ffi::CStr;
use linux_raw_sys::general::__NR_keyctl;
use rustix::io::Errno;

const JOIN_SESSION_KEYRING: usize = 1;
const SETPERM: usize = 5;
/// The possessor may do everything, the user view, search and link: what runc ends up with, so that
/// a process entering later can join the keyring by its name.
const PERMISSIONS: usize = 0x3f1b_0000;

/// Give the calling process a new session keyring called `name` (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING).
pub fn join_session(name: &CStr) -> Result<(), Errno> {
    // SAFETY: the kernel reads the C string.
    let id = unsafe { syscall6(__NR_keyctl, [JOIN_SESSION_KEYRING, name.as_ptr().addr(), 0, 0, 0, 0]) }?;
    // SAFETY: two numbers, no memory.
    unsafe { syscall6(__NR_keyctl, [SETPERM, id, PERMISSIONS, 0, 0, 0]) }.map(drop)
}
