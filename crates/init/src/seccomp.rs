//! The filter: loaded in its place, or kept until nothing but the program is left.

use crate::fd::Fd;
use crate::hands::{At, Done, Hands};
use rt_sys::filter;
use rt_wire::{Bytes, Load, Part, Report};
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;

pub(crate) fn load(hands: &mut Hands, filter: Bytes<'static>, flags: u32, when: Load) -> Done {
    if when == Load::WithTheProgram {
        hands.filter = Some((filter.0, flags));
        return Ok(());
    }
    if let Some(listener) = filter::load(filter.0, flags)?.map(Fd::from) {
        // The parent takes it out of our table: to send it could be what the filter wants to be notified of.
        hands.report(Report::Listener { number: listener.as_fd().as_raw_fd() }).at(Part::Talk)?;
        hands.await_order()?;
        listener.close();
    }
    Ok(())
}

/// For process 1 of `--init`, which stays: what it needs, and nothing that the program could make it do. Each with its number on
/// this machine: the calls of `serve::attend`, which are read, ppoll, wait4, kill, exit_group, madvise, clock_gettime, and
/// restart_syscall, which the kernel makes of a ppoll that was stopped; and those between this filter and the program, which are
/// futex, close, close_range and, if there is to be no program, write.
#[cfg(target_arch = "x86_64")]
const NEEDED: [u32; 12] = [0, 271, 61, 62, 231, 28, 228, 219, 202, 3, 436, 1];
#[cfg(target_arch = "aarch64")]
const NEEDED: [u32; 12] = [63, 73, 260, 129, 94, 233, 113, 128, 98, 57, 436, 64];

/// `AUDIT_ARCH_*` of this machine.
const ARCH: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };

/// Where the program has a filter, its parent has this one: it could otherwise be traced by the program, and made to call
/// what the program may not. So it is loaded before there is a program.
pub(crate) fn confine_process_1() -> Result<(), Errno> {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const KILL: u32 = 0x8000_0000;
    const ALLOW: u32 = 0x7fff_0000;
    let mut program = [0u8; (NEEDED.len() + 5) * 8];
    let count = u8::try_from(NEEDED.len()).unwrap_or(u8::MAX);
    let head = [(LOAD, 0, 0, 4), (EQUAL, 0, count.saturating_add(1), ARCH), (LOAD, 0, 0, 0)];
    let calls = NEEDED.iter().zip((1..=count).rev()).map(|(call, left)| (EQUAL, left, 0, *call));
    let tail = [(RETURN, 0, 0, KILL), (RETURN, 0, 0, ALLOW)];
    let (slots, _) = program.as_chunks_mut::<8>();
    for (slot, (code, yes, no, value)) in slots.iter_mut().zip(head.into_iter().chain(calls).chain(tail)) {
        let ([c0, c1], [v0, v1, v2, v3]) = (u16::to_ne_bytes(code), u32::to_ne_bytes(value));
        *slot = [c0, c1, yes, no, v0, v1, v2, v3];
    }
    filter::load(&program, 0).map(drop)
}
