//! Raw system calls, a few lines of assembly per architecture. Nothing outside this crate calls them.

use core::arch::asm;
use rustix::io::Errno;

/// `syscall(2)` with five arguments and the kernel's own answer: always inlined, for code that may call nothing.
///
/// # Safety
/// As for [`syscall6`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) unsafe fn bare_syscall5(nr: usize, args: [usize; 5]) -> isize {
    let ret: isize;
    // SAFETY: as for `syscall6`.
    unsafe {
        asm!("syscall", inlateout("rax") nr => ret,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2], in("r10") args[3], in("r8") args[4],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    ret
}

/// `syscall(2)` with five arguments and the kernel's own answer: always inlined, for code that may call nothing.
///
/// # Safety
/// As for [`syscall6`].
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) unsafe fn bare_syscall5(nr: usize, args: [usize; 5]) -> isize {
    let ret: isize;
    // SAFETY: as for `syscall6`.
    unsafe {
        asm!("svc 0", in("x8") nr, inlateout("x0") args[0] => ret,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4], options(nostack));
    }
    ret
}

/// `syscall(2)` with six arguments.
///
/// # Safety
/// The arguments must be what the system call numbered `nr` expects: pointers valid for its reads and writes.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) unsafe fn syscall6(nr: u32, args: [usize; 6]) -> Result<usize, Errno> {
    let ret: isize;
    // SAFETY: the caller vouches for the arguments; the clobbers are those of the x86_64 ABI.
    unsafe {
        asm!("syscall", inlateout("rax") nr as usize => ret,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer(ret)
}

/// `syscall(2)` with six arguments.
///
/// # Safety
/// The arguments must be what the system call numbered `nr` expects: pointers valid for its reads and writes.
#[cfg(target_arch = "aarch64")]
#[inline]
pub(crate) unsafe fn syscall6(nr: u32, args: [usize; 6]) -> Result<usize, Errno> {
    let ret: isize;
    // SAFETY: the caller vouches for the arguments; `svc 0` clobbers nothing but x0.
    unsafe {
        asm!("svc 0", in("x8") nr as usize, inlateout("x0") args[0] => ret,
            in("x1") args[1], in("x2") args[2], in("x3") args[3],
            in("x4") args[4], in("x5") args[5], options(nostack));
    }
    answer(ret)
}

/// The kernel's convention: -4095 to -1 is an error, everything else a value.
#[inline]
pub(crate) fn answer(ret: isize) -> Result<usize, Errno> {
    match ret {
        -4095..=-1 => Err(Errno::from_raw_os_error(ret.wrapping_neg() as i32)),
        value => Ok(value.cast_unsigned()),
    }
}

/// `syscall(2)` with three arguments.
///
/// # Safety
/// As [`syscall6`].
#[inline]
pub(crate) unsafe fn syscall3(nr: u32, a: usize, b: usize, c: usize) -> Result<usize, Errno> {
    // SAFETY: handed on to the caller.
    unsafe { syscall6(nr, [a, b, c, 0, 0, 0]) }
}
