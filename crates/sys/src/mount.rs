//! Mount calls beyond rustix.

use crate::raw::syscall6;
use core::ffi::CStr;
use linux_raw_sys::general::{__NR_mount_setattr, AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW, mount_attr};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

/// What `mount_setattr(2)` changes. The bits are `MOUNT_ATTR_*` and, for propagation, one `MS_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`, or 0 for as it is.
    pub propagation: u64,
}

impl Attributes {
    /// Whether there is nothing to change.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// How much of a tree a call concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The mount itself.
    Top,
    /// The mount and everything mounted below it.
    Tree,
}

/// `mount_setattr(2)` (Linux 5.12) on the mount whose root `fd` is.
pub fn set_attributes(fd: BorrowedFd<'_>, depth: Depth, change: Attributes) -> Result<(), Errno> {
    set_attributes_at(fd, c"", depth, change)
}

/// `mount_setattr(2)` (Linux 5.12) on the mount whose root `path`, below `fd`, is. A link at its end is not followed.
pub fn set_attributes_at(fd: BorrowedFd<'_>, path: &CStr, depth: Depth, change: Attributes) -> Result<(), Errno> {
    let attr =
        mount_attr { attr_set: change.set, attr_clr: change.clear, propagation: change.propagation, userns_fd: 0 };
    let flags = match depth {
        Depth::Top => AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
        Depth::Tree => AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_RECURSIVE,
    };
    let args = [
        fd.as_raw_fd() as usize,
        path.as_ptr().addr(),
        flags as usize,
        (&raw const attr).addr(),
        size_of::<mount_attr>(),
        0,
    ];
    // SAFETY: the kernel reads one `mount_attr` of the size given, which lives past the call.
    unsafe { syscall6(__NR_mount_setattr, args) }.map(drop)
}
