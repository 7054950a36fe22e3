//! For the inside of a container: makes the system calls that its arguments name, and says what became of each.
//!
//! `getppid` or `mkdirat:1,2` is a call of this machine, `110:1,2` one by number, `x86:20` one as a 32-bit program makes it.
//! `in-thread` before a call makes it in a thread, `as-parent` in process 1, by tracing it.
#![allow(unsafe_code)] // There is no safe way to make any system call.

use std::{env, fs, sync::mpsc, thread, time::Duration};

use nix::libc;

fn main() {
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let said = match &*word {
            "in-thread" => in_thread(words.next().expect("a call")),
            "as-parent" => as_parent(&words.next().expect("a call")),
            call => said(call),
        };
        println!("{said}");
    }
}

/// A call made: its value, or its errno.
fn said(call: &str) -> String {
    let (name, arguments) = parse(call);
    let answer = match name.strip_prefix("x86:") {
        Some(number) => x86(number.parse().expect("a number"), arguments),
        None => native(number(name), arguments),
    };
    match answer {
        -4095..=-1 => format!("{name} errno {}", -answer),
        value => format!("{name} {value}"),
    }
}

fn parse(call: &str) -> (&str, [u64; 6]) {
    let from = if call.starts_with("x86:") { 4 } else { 0 };
    let (name, rest) = match call[from..].split_once(':') {
        Some((name, rest)) => (&call[..from + name.len()], rest),
        None => (call, ""),
    };
    let mut arguments = [0; 6];
    for (argument, text) in arguments.iter_mut().zip(rest.split(',').filter(|text| !text.is_empty())) {
        *argument = numeral(text);
    }
    (name, arguments)
}

fn numeral(text: &str) -> u64 {
    let numeral = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    numeral.unwrap_or_else(|_| panic!("{text}: no number, and no name that is known here"))
}

fn number(name: &str) -> libc::c_long {
    match name {
        "getpid" => libc::SYS_getpid,
        "getppid" => libc::SYS_getppid,
        "getuid" => libc::SYS_getuid,
        "getgid" => libc::SYS_getgid,
        "mkdirat" => libc::SYS_mkdirat,
        "personality" => libc::SYS_personality,
        "umask" => libc::SYS_umask,
        "setuid" => libc::SYS_setuid,
        other => numeral(other).cast_signed(),
    }
}

#[allow(clippy::cast_possible_truncation)] // system calls have no types
fn native(number: libc::c_long, [a, b, c, d, e, f]: [u64; 6]) -> i64 {
    // SAFETY: none of the calls that tests make reads or writes memory of this process; a bad address is EFAULT.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if answer == -1 { -i64::from(nix::errno::Errno::last_raw()) } else { answer }
}

/// As a program for 32-bit x86 makes it.
#[cfg(target_arch = "x86_64")]
fn x86(number: u32, [a, b, c, ..]: [u64; 6]) -> i64 {
    let mut answer = u64::from(number);
    // SAFETY: as above. rbx, which is the compiler's, is put back; r8 to r11 are lost.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {a}", "int 0x80", "xchg rbx, {a}",
            a = inout(reg) a => _, inout("rax") answer, in("rcx") b, in("rdx") c, in("rsi") 0u64, in("rdi") 0u64,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    // What comes back is 32 bits wide.
    i64::from(u32::try_from(answer & 0xffff_ffff).unwrap_or(0).cast_signed())
}

#[cfg(not(target_arch = "x86_64"))]
fn x86(_: u32, _: [u64; 6]) -> i64 {
    -i64::from(libc::ENOSYS)
}

fn in_thread(call: String) -> String {
    let (sender, receiver) = mpsc::channel();
    thread::spawn({
        let call = call.clone();
        move || sender.send(said(&call))
    });
    loop {
        if let Ok(said) = receiver.recv_timeout(Duration::from_millis(10)) {
            return said;
        }
        // One that was killed has sent nothing, and dropped nothing.
        if fs::read_dir("/proc/self/task").expect("proc is mounted").count() == 1 {
            return format!("{call} ended the thread");
        }
    }
}

/// Process 1 is stopped in a system call: it is set to make this one instead.
#[cfg(target_arch = "x86_64")]
fn as_parent(call: &str) -> String {
    use nix::sys::{ptrace, wait};
    use nix::unistd::Pid;

    let parent = Pid::from_raw(1);
    if let Err(errno) = ptrace::attach(parent) {
        return format!("can't trace process 1: errno {}", errno as i32);
    }
    wait::waitpid(parent, None).expect("it stops");
    let mut registers = ptrace::getregs(parent).expect("it has stopped");
    let (name, arguments) = parse(call);
    // Behind the instruction that made the call, which has two bytes.
    registers.rip -= 2;
    registers.rax = number(name).cast_unsigned();
    registers.orig_rax = u64::MAX;
    [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] = arguments;
    ptrace::setregs(parent, registers).expect("it has stopped");
    ptrace::step(parent, None).expect("it has stopped");
    let status = wait::waitpid(parent, None).expect("it is traced");
    match ptrace::getregs(parent) {
        Ok(registers) => format!("process 1: {name} {}", registers.rax.cast_signed()),
        Err(_) => format!("process 1: {status:?}"),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn as_parent(_: &str) -> String {
    "can't trace process 1: no registers are known here".to_owned()
}
