//! Init's bytes and its plan, in a file that nobody can change: what the child executes.

use crate::Error;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create, openat};
use rustix::io::{Errno, pwritev};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::io::IoSlice;

/// The freestanding program, built by this crate's build script.
static INIT: &[u8] = include_bytes!(env!("RT_INIT"));
/// Where in it the plan's two lengths stand.
const LENGTHS: usize = match usize::from_str_radix(env!("RT_INIT_LENGTHS"), 10) {
    Ok(at) => at,
    Err(_) => panic!("the build script gives a number"),
};

/// A file with init and `plan` in it, executable and sealed: in the container it is /proc/self/exe, and nothing of the
/// host's is (CVE-2019-5736).
pub(crate) fn with_plan(plan: &[u8]) -> Result<OwnedFd, Error> {
    match memfd(plan) {
        // vm.memfd_noexec=2 refuses an executable one to everybody.
        Err(Errno::ACCESS) => tmpfs(plan).map_err(Error::call(
            "put init into a private tmpfs, because vm.memfd_noexec forbids executable memory files",
        )),
        file => file.map_err(Error::call("put init into a memory file")),
    }
}

fn memfd(plan: &[u8]) -> Result<OwnedFd, Errno> {
    let file = memory_file()?;
    fill(&file, plan)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file)
}

/// An empty one that can be executed.
pub(crate) fn memory_file() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(c"rt-init", flags | MemfdFlags::EXEC) {
        // Before 6.3 there is no such flag, and every one is executable.
        Err(Errno::INVAL) => memfd_create(c"rt-init", flags),
        file => file,
    }
}

/// The same on a file system that is mounted nowhere, and read-only once the file is written.
fn tmpfs(plan: &[u8]) -> Result<OwnedFd, Errno> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(&mount, c"rt-init", create, Mode::from_raw_mode(0o500))?;
    fill(&file, plan)?;
    drop(file);
    let read_only = rt_sys::mount::Attributes { set: 1, ..Default::default() };
    rt_sys::mount::set_attributes(mount.as_fd(), rt_sys::mount::Depth::Top, read_only)?;
    openat(&mount, c"rt-init", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Init, and behind it the plan, as the last segment of the program: the kernel maps it with the others.
fn fill(file: &OwnedFd, plan: &[u8]) -> Result<(), Errno> {
    let len = (plan.len() as u64).to_le_bytes();
    let (head, rest) = INIT.split_at(LENGTHS);
    // In the file and in memory.
    let rest = rest.get(2 * len.len()..).unwrap_or_default();
    let mut parts = [head, &len, &len, rest, plan].map(IoSlice::new);
    let (mut parts, mut at) = (&mut parts[..], 0);
    while !parts.is_empty() {
        let len = pwritev(file, parts, at)?;
        IoSlice::advance_slices(&mut parts, len);
        at += len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Stat, fstat};
    use rustix::io::pwrite;

    #[test]
    fn the_program_can_not_be_written_to() {
        for file in [memfd(b"plan"), tmpfs(b"plan")].into_iter().flatten() {
            assert!(matches!(pwrite(&file, b"x", 0), Err(Errno::PERM | Errno::BADF)));
            let Stat { st_size, .. } = fstat(&file).expect("open");
            assert_eq!(st_size.cast_unsigned(), INIT.len() as u64 + 4);
        }
    }
}
