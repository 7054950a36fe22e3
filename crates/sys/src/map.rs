//! Memory straight from the kernel, for a program without a heap.

use core::ptr::null_mut;
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

/// Give the pages of the stack below the caller's frame back to the kernel: madvise(2), MADV_DONTNEED. They read as
/// zero when they are used again.
#[inline(never)]
pub fn release_stack() -> Result<(), Errno> {
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
