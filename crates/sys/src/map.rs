//! Memory straight from the kernel, for a program without a heap.

use crate::raw::bare_syscall5;
use core::ops::Range;
use core::ptr::null_mut;
use linux_raw_sys::general::{__NR_madvise, __NR_ppoll};
use rustix::event::{PollFd, Timespec};
use rustix::fs::Gid;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// `count` zeroed words that nobody else has, for the rest of the program's life.
pub fn words(count: usize) -> Result<&'static mut [usize], Errno> {
    let len = count.checked_mul(size_of::<usize>()).ok_or(Errno::NOMEM)?;
    // SAFETY: an anonymous mapping at an address of the kernel's choice aliases nothing.
    let at = unsafe { mmap_anonymous(null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)? };
    // SAFETY: page-aligned, zeroed by the kernel, `count` words long, never unmapped, and ours alone.
    Ok(unsafe { core::slice::from_raw_parts_mut(at.cast::<usize>(), count) })
}

/// `count` group ids, all of them 0, for the rest of the program's life.
pub fn groups(count: usize) -> Result<&'static mut [Gid], Errno> {
    if count == 0 {
        return Ok(&mut []);
    }
    let len = count.checked_mul(size_of::<Gid>()).ok_or(Errno::NOMEM)?;
    // SAFETY: an anonymous mapping at an address of the kernel's choice aliases nothing.
    let at = unsafe { mmap_anonymous(null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)? };
    // SAFETY: page-aligned, zeroed by the kernel (0 is a group id), `count` long, never unmapped, and ours alone.
    Ok(unsafe { core::slice::from_raw_parts_mut(at.cast::<Gid>(), count) })
}

/// Wait for one of `waits`, and meanwhile give back the memory that waiting does not need: the stack below the caller's frame,
/// and `code`, a program's own mapping of its file, from which it comes back. Returns how many are ready; 0 when
/// `limit` has passed.
///
/// Nothing in `code` runs or is read from the first madvise(2) to the end of the wait: this function is all that does, and
/// it lies elsewhere.
pub fn park(code: Range<usize>, waits: &mut [PollFd<'_>], limit: Option<&Timespec>) -> Result<usize, Errno> {
    release_stack()?;
    let limit = limit.map_or(0, |limit| (&raw const *limit).addr());
    let (at, count) = (waits.as_mut_ptr().addr(), waits.len());
    loop {
        // SAFETY: `waits` and `limit` outlive the call, and are what ppoll(2) expects: `PollFd` is the kernel's `pollfd`.
        match unsafe { parked(code.start, code.end.saturating_sub(code.start), at, count, limit) } {
            answer if answer >= 0 => return Ok(answer.unsigned_abs()),
            answer => match Errno::from_raw_os_error(answer.wrapping_neg() as i32) {
                Errno::INTR => {}
                errno => return Err(errno),
            },
        }
    }
}

/// madvise(2) of `len` bytes from `start`, if there are any, then ppoll(2). What the kernel answers to that.
///
/// # Safety
/// The range is page-aligned, mapped from a file, and unchanged since. `waits`, `count` and `limit` are ppoll(2)'s.
#[unsafe(link_section = ".text.parked")]
#[inline(never)]
unsafe fn parked(start: usize, len: usize, waits: usize, count: usize, limit: usize) -> isize {
    const MADV_DONTNEED: usize = 4;
    if len != 0 {
        // SAFETY: the caller vouches for the range. An error means that the memory stays.
        let _ = unsafe { bare_syscall5(__NR_madvise as usize, [start, len, MADV_DONTNEED, 0, 0]) };
    }
    // SAFETY: the caller vouches for the arguments; there is no signal mask, so its size is not looked at.
    unsafe { bare_syscall5(__NR_ppoll as usize, [waits, count, limit, 0, 8]) }
}

/// Give the pages of the stack below the caller's frame back to the kernel: madvise(2), MADV_DONTNEED. They read as
/// zero when they are used again.
#[inline(never)]
fn release_stack() -> Result<(), Errno> {
    const PAGE: usize = 4096;
    const DEEPEST: usize = 256 << 10;
    let here = 0u8;
    // Whole pages below this frame, which is small, and its red zone: nothing that lives is there.
    let end = ((&raw const here).addr() - 1024) & !(PAGE - 1);
    let start = core::ptr::without_provenance_mut(end - DEEPEST);
    // SAFETY: only memory below every live frame of this thread is dropped; what is not mapped is ENOMEM.
    match unsafe { rustix::mm::madvise(start, DEEPEST, rustix::mm::Advice::LinuxDontNeed) } {
        Err(Errno::NOMEM) => Ok(()),
        answer => answer,
    }
}
