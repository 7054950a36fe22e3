//! Descriptors that nobody drops. Init leaves by exec or exit, and the kernel closes them then; a destructor on every
//! path that fails would be a third of the program.

use core::mem::ManuallyDrop;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A descriptor of init's own.
pub(crate) struct Fd(ManuallyDrop<OwnedFd>);

impl Fd {
    /// Done with it. It is closed with all its like by `Hands::close_used`, in one call; past 512 of them at once.
    #[inline(never)]
    pub(crate) fn leave(self) {
        if self.0.as_raw_fd() >= 512 {
            self.close();
        }
    }

    /// Close it now.
    #[inline(never)]
    pub(crate) fn close(self) {
        drop(ManuallyDrop::into_inner(self.0));
    }
}

impl From<OwnedFd> for Fd {
    fn from(fd: OwnedFd) -> Self {
        Self(ManuallyDrop::new(fd))
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
