//! Who the process is and what it may use: limits, ids, capabilities.

use crate::hands::{Done, Hands};
use rt_sys::fd::standard;
use rt_wire::{Capabilities, Rlimit, Scheduler, Texts};
use rustix::fs::{FileType, Gid, Uid, fchown, fstat};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

/// What can't be raised for lack of CAP_SYS_RESOURCE, or lies above fs.nr_open, gets the nearest value there is:
/// every engine's defaults would fail otherwise where an outer container has lowered a limit.
pub(crate) fn limit(hands: &Hands, Rlimit { resource, soft, hard }: Rlimit) -> Done {
    match rt_sys::limit::set(resource, soft, hard) {
        Err(errno @ Errno::PERM) => {
            let highest = rt_sys::limit::hard(resource)?;
            let nearest = hard.min(highest);
            rt_sys::limit::set(resource, soft.min(nearest), nearest)?;
            hands.warn(errno, nearest);
            Ok(())
        }
        answer => Ok(answer?),
    }
}

pub(crate) fn schedule(scheduler: Scheduler) -> Done {
    let mut attributes = rt_sys::sched::Attributes::default();
    attributes.policy = scheduler.policy;
    attributes.flags = scheduler.flags;
    attributes.nice = scheduler.nice;
    attributes.priority = scheduler.priority;
    attributes.runtime = scheduler.runtime;
    attributes.deadline = scheduler.deadline;
    attributes.period = scheduler.period;
    Ok(rt_sys::sched::set(attributes)?)
}

/// So that the user can reopen /dev/stdout. Never a device: /dev/null is the host's, and so is a terminal.
pub(crate) fn own_stdio(uid: u32) -> Done {
    for standard in standard() {
        let Ok(stat) = fstat(standard) else { continue };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if stat.st_uid == uid || matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
            continue;
        }
        match fchown(standard, Some(Uid::from_raw(uid)), None) {
            // A read-only file system, an id that has no place there, or a descriptor that was opened as a path.
            Err(Errno::ROFS | Errno::INVAL | Errno::PERM | Errno::BADF) => {}
            answer => answer?,
        }
    }
    Ok(())
}

#[inline(never)]
pub(crate) fn groups(ids: Texts<'_>) -> Done {
    // NGROUPS_MAX of them would be 256 KiB: a mapping, not the stack.
    let mut small = [Gid::ROOT; 32];
    let table = match small.get_mut(..ids.len()) {
        Some(table) => table,
        None => rt_sys::map::groups(ids.len())?,
    };
    for (slot, id) in table.iter_mut().zip(ids.iter()) {
        let number = core::str::from_utf8(id.to_bytes()).ok().and_then(|text| text.parse().ok());
        *slot = Gid::from_raw(number.ok_or(Errno::INVAL)?);
    }
    Ok(set_thread_groups(table)?)
}

pub(crate) fn become_user(uid: u32, gid: u32) -> Done {
    if uid != 0 {
        // Over setresuid(2) only: `CapabilitySets` sets what stays.
        set_keep_capabilities(true)?;
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_res_gid(gid, gid, gid)?;
    Ok(set_thread_res_uid(uid, uid, uid)?)
}

pub(crate) fn bounding_set(lose: u64) -> Done {
    for number in (0..64u32).filter(|number| lose.wrapping_shr(*number) & 1 == 1) {
        remove_capability_from_bounding_set(one(number))?;
    }
    Ok(())
}

pub(crate) fn capabilities(sets: Capabilities) -> Done {
    let kernels = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(sets.effective),
        permitted: CapabilitySet::from_bits_retain(sets.permitted),
        inheritable: CapabilitySet::from_bits_retain(sets.inheritable),
    };
    set_capabilities(None, kernels)?;
    // What is permitted and inheritable may have come over the exec as ambient.
    if sets.inheritable != 0 {
        clear_ambient_capability_set()?;
        for number in (0..64u32).filter(|number| sets.ambient.wrapping_shr(*number) & 1 == 1) {
            configure_capability_in_ambient_set(one(number), true)?;
        }
    }
    Ok(())
}

fn one(number: u32) -> CapabilitySet {
    CapabilitySet::from_bits_retain(1u64.wrapping_shl(number))
}
