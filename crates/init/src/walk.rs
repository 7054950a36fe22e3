//! The walk itself: read the plan, apply its steps one after the other.

use crate::fd::Fd;
use crate::hands::{At, Done, Failure, Hands};
use crate::{devices, hook, identity, mounts, procfs, program, root, seccomp, serve, terminal};
use core::ops::Range;
use core::sync::atomic::{AtomicI32, AtomicU16, Ordering::Relaxed};
use rt_sys::exec::exit;
use rt_sys::{fd, keyring, map, net, ns, signal};
use rt_wire::{Header, LabelKind, Part, Reader, Report, Step};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior, setsid, umask};
use rustix::thread::set_no_new_privs;

/// Walk the plan. Ends as the container's process, or not at all well. `code` is where this program's code and constants
/// are mapped, whole pages of them, which come back when they are given up.
pub fn walk(plan: &'static [u8], code: Range<usize>) -> ! {
    let Some((header, inherited, steps)) = read(plan) else { exit(1) };
    let Some(socket) = fd::inherited(header.socket).map(Fd::from) else { exit(1) };
    SOCKET.store(header.socket, Relaxed);
    let mut hands = Hands::new(socket, fd::inherited(header.listener).map(Fd::from), inherited, code);
    // The plan names modes; the caller's mask must not change them. `Umask` sets the container's.
    umask(rustix::fs::Mode::empty());
    let mut reader = Reader::new(steps);
    for number in 0..header.steps {
        hands.step = u16::try_from(number).unwrap_or(u16::MAX);
        STEP.store(hands.step, Relaxed);
        let done = match reader.value() {
            Some(step) => apply(step, &mut hands),
            None => Err(Failure { part: Part::Message, errno: Errno::BADMSG }),
        };
        if let Err(failure) = done {
            fail(&hands, failure);
        }
    }
    // A plan ends with `Exec`, which does not come back.
    fail(&hands, Failure { part: Part::Message, errno: Errno::BADMSG })
}

fn read(plan: &'static [u8]) -> Option<(Header, &'static [u8], &'static [u8])> {
    let header = Header::read(plan)?;
    let rest = plan.get(Header::LEN..header.len as usize)?;
    let (inherited, steps) = rest.split_at_checked((header.inherited as usize).checked_mul(4)?)?;
    Some((header, inherited, steps))
}

fn fail(hands: &Hands, failure: Failure) -> ! {
    hands.report_failed(failure);
    exit(1)
}

/// Functions with buffers are not inlined here: this frame is there for as long as init waits.
fn apply(step: Step<'static>, hands: &mut Hands) -> Done {
    match step {
        Step::AwaitParent {} => hands.await_order()?,
        Step::Undumpable {} => set_dumpable_behavior(DumpableBehavior::NotDumpable)?,
        Step::JoinCgroup { tasks, .. } => {
            rustix::io::write(hands.inherited(tasks)?, b"0")?;
        }
        Step::JoinNamespace { kind, namespace, .. } => ns::enter(hands.inherited(namespace)?.as_fd(), kind.flag())?,
        Step::JoinContainer { namespaces, process, root } => root::join(hands, namespaces, process, root)?,
        Step::Unshare { kind } => ns::unshare(kind.flag())?,
        Step::NewSession {} => drop(setsid()?),
        Step::SessionKeyring { name } => match keyring::join_session(name.c()) {
            // No keyrings in this kernel, forbidden by an outer seccomp filter, or too many of them: as runc, go on
            // with the caller's.
            Err(errno @ (Errno::NOSYS | Errno::PERM | Errno::DQUOT)) => hands.warn(errno, 0),
            answer => answer?,
        },
        Step::Propagation { change, tree } => root::propagate(change, tree)?,
        Step::OpenRoot { path, change, parent } => root::open(hands, path.c(), change, parent)?,
        Step::Mount { .. } => mounts::mount(hands, step)?,
        Step::Bind { .. } => mounts::bind(hands, step)?,
        Step::Reattribute { target, tree, change } => mounts::reattribute(hands, target, tree, change)?,
        Step::Remount { target, flags, data } => mounts::remount(hands, target, flags, data)?,
        Step::Symlink { target, text, replace } => devices::symlink(hands, target, text, replace)?,
        Step::MakeDevice { target, device } => devices::make(hands, target, device)?,
        Step::BindDevice { target, device } => devices::bind(hands, target, device)?,
        Step::ReopenNull { target } => devices::reopen_null(hands, target)?,
        Step::HideMount { path } => root::hide(path.c())?,
        Step::AwaitHooks {} => {
            hands.report(Report::Hooks).at(Part::Talk)?;
            hands.await_order()?;
        }
        Step::RunHook { .. } => hook::run(hands, step)?,
        Step::Terminal { .. } => terminal::make(hands, step)?,
        Step::Console { target } => terminal::bind(hands, target)?,
        Step::EnterRoot { how } => root::enter(hands, how)?,
        Step::RootPropagation { change, tree } => root::propagate(change, tree)?,
        Step::OpenProc { hold } => procfs::open(hands, hold)?,
        Step::Sysctl { proc, file, value } => procfs::sysctl(hands, proc, file, value)?,
        Step::ReadOnlyPath { target } => mounts::read_only(hands, target)?,
        Step::MaskPath { target, likely, null } => mounts::mask(hands, target, likely, null)?,
        Step::MakeDirectory { path } => root::make_directory(hands, path)?,
        Step::ReadOnlyRoot {} => root::read_only(hands)?,
        Step::Hostname { name } => rustix::system::sethostname(name.bytes())?,
        Step::Domainname { name } => rustix::system::setdomainname(name.bytes())?,
        Step::LoopbackUp {} => net::loopback_up()?,
        Step::Limit { limit } => identity::limit(hands, limit)?,
        Step::ExecLabel { proc, kind: LabelKind::AppArmor, label } => procfs::apparmor(hands, proc, label)?,
        Step::ExecLabel { proc, kind: LabelKind::Selinux, label } => procfs::selinux(hands, proc, label)?,
        Step::Personality { persona } => rt_sys::sched::set_personality(persona)?,
        Step::Schedule { scheduler } => identity::schedule(scheduler)?,
        Step::IoPriority { value } => rt_sys::sched::set_io_priority(value)?,
        Step::Umask { mask } => drop(umask(rustix::fs::Mode::from_raw_mode(mask))),
        Step::OwnStdio { uid } => identity::own_stdio(uid)?,
        Step::EnterDirectory { path } => root::enter_directory(hands, path.c())?,
        Step::VerifyDirectory { path } => root::verify_directory(hands, path.c())?,
        Step::Affinity { mask } => rt_sys::sched::use_processors(mask.0)?,
        Step::ResetAffinity {} => rt_sys::sched::use_every_processor()?,
        Step::BoundingSet { lose, .. } => identity::bounding_set(lose)?,
        Step::Groups { ids } => identity::groups(ids)?,
        Step::User { uid, gid } => identity::become_user(uid, gid)?,
        Step::CapabilitySets { sets } => identity::capabilities(sets)?,
        Step::NoNewPrivileges {} => set_no_new_privs(true)?,
        Step::Seccomp { filter, flags, when } => seccomp::load(hands, filter, flags, when)?,
        Step::FindProgram { name, path } => program::find(name, path)?,
        Step::Ready {} => {
            hands.report(Report::Ready).at(Part::Talk)?;
            hands.await_order()?;
        }
        Step::AwaitStart { first, state, output, errors } => {
            hands.close_used(first, [state, output, errors])?;
            await_start(hands)?;
        }
        Step::CloseDescriptors { first } => fd::close_on_exec_from(first)?,
        Step::Exec { args, env, path, home } => return Err(program::exec(hands, args, env, path, home)),
        Step::Serve { .. } => return serve::serve(hands, step),
    }
    Ok(())
}

/// Signals that end a process by default and that people send to end a container.
const ENDING: [i32; 4] = [1, 2, 3, 15];

/// Wait for `start`. As process 1 of a pid namespace the kernel keeps SIGTERM from us as long as we do not ask for
/// it; a container that was created must be ended by it all the same, so we ask.
fn await_start(hands: &mut Hands) -> Done {
    let listener = hands.listener.as_ref().ok_or(Errno::BADF)?;
    rustix::thread::set_name(c"rt-init")?;
    let mask =
        ENDING.iter().fold(0u64, |mask, signal| mask | 1u64.wrapping_shl(signal.unsigned_abs().saturating_sub(1)));
    signal::set_mask(mask)?;
    // A filter may forbid it: then signals wait until the program can have them.
    let signals = signal::descriptor(mask).map(Fd::from).ok();
    let wanted = PollFlags::IN;
    let mut waits = [PollFd::new(listener, wanted), PollFd::new(signals.as_ref().unwrap_or(listener), wanted)];
    // Perhaps for hours.
    map::park(hands.code.clone(), &mut waits, None).at(Part::Talk)?;
    let [started, _] = &waits;
    match &signals {
        Some(signals) if started.revents().is_empty() => {
            exit(signal::read(signals.as_fd()).map_or(1, |number| number.saturating_add(128)))
        }
        _ => {}
    }
    let start = Fd::from(rt_sys::socket::accept(listener.as_fd()).at(Part::Talk)?);
    signal::set_mask(0)?;
    // From here on a failure is `start`'s to tell, and end of file means that it runs.
    hands.start = Some(start);
    Ok(())
}

/// For the panic handler, which has nothing else.
static SOCKET: AtomicI32 = AtomicI32::new(-1);
static STEP: AtomicU16 = AtomicU16::new(0);

/// Report a panic in line `line`, without formatting anything, and leave.
pub fn panicked(line: u32) -> ! {
    if let Some(socket) = fd::inherited(SOCKET.load(Relaxed)) {
        let errno = i32::try_from(line).unwrap_or(i32::MAX);
        let report = Report::Failed { step: STEP.load(Relaxed), part: Part::Panic, errno };
        let _ = rustix::net::send(&socket, &report.encode(), rustix::net::SendFlags::NOSIGNAL);
    }
    exit(1)
}
