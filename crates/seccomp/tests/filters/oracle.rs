//! libseccomp as runc uses it: a small C program that loads it, and what runc does around it.

use rt_seccomp::{Action, Arch, Attempt, Insn, Operator, Profile, Verdict, verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What libseccomp says to a rule that contradicts another one.
pub(crate) const EEXIST: i32 = -17;

/// A running libseccomp.
pub(crate) struct Oracle {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    program: PathBuf,
    /// Of optimization. runc takes 2, a binary tree, for profiles of more than 32 rules.
    pub(crate) level: u32,
    /// What it said before.
    numbers: BTreeMap<(Arch, String), Option<i64>>,
}

/// What libseccomp made of a profile.
#[derive(Debug)]
pub(crate) enum Made {
    /// A program.
    Program(Vec<Insn>),
    /// It refused something: the errno, negative.
    Refused(i32),
    /// It did not come back. It has been started anew.
    Hung,
}

impl Oracle {
    /// None, with a word to whoever reads the log: there is no C compiler, or no libseccomp. `LIBSECCOMP` names another one
    /// than the system's.
    pub(crate) fn start() -> Option<Self> {
        let program = program()?;
        let mut oracle = Self::launch(program);
        oracle.say("name 0 read");
        if oracle.hear().is_none() {
            eprintln!("skipped: libseccomp.so.2 is not installed");
            return None;
        }
        Some(oracle)
    }

    fn launch(program: PathBuf) -> Self {
        let mut command = Command::new(&program);
        command.args(std::env::var_os("LIBSECCOMP")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the oracle starts");
        let input = child.stdin.take().expect("piped");
        let output = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, input, lines, program, level: 1, numbers: BTreeMap::new() }
    }

    fn say(&mut self, line: &str) {
        // That it is gone shows in the answer.
        let _ = writeln!(self.input, "{line}");
    }

    fn hear(&mut self) -> Option<String> {
        self.lines.recv_timeout(Duration::from_secs(1)).ok()
    }

    /// The number by which libseccomp knows a call; a negative one if that is no real number.
    pub(crate) fn number(&mut self, arch: Arch, name: &str) -> Option<i64> {
        if let Some(number) = self.numbers.get(&(arch, name.to_owned())) {
            return *number;
        }
        self.say(&format!("name {:#x} {name}", token(arch)));
        let number: i64 = self.hear().expect("an answer").parse().expect("a number");
        *self.numbers.entry((arch, name.to_owned())).or_insert((number != -1).then_some(number))
    }

    /// Whether it knows an architecture at all.
    pub(crate) fn knows(&mut self, arch: Arch) -> bool {
        self.number(arch, "read").is_some()
    }

    /// What runc asks libseccomp for, and what it gets.
    pub(crate) fn make(&mut self, profile: &Profile, native: Arch) -> Made {
        self.ask(profile, native, "export");
        let Some(line) = self.hear() else {
            self.again();
            return Made::Hung;
        };
        answer(&line, native)
    }

    /// The filter as libseccomp prints it. It is made of the same data as the program, by other code.
    pub(crate) fn pseudo(&mut self, profile: &Profile, native: Arch) -> Option<Pseudo> {
        self.ask(profile, native, "pseudo");
        let Some(line) = self.hear() else {
            self.again();
            return None;
        };
        (!line.starts_with("error ")).then(|| Pseudo(line.split('\t').map(str::to_owned).collect()))
    }

    fn again(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let (level, numbers) = (self.level, std::mem::take(&mut self.numbers));
        *self = Self::launch(self.program.clone());
        (self.level, self.numbers) = (level, numbers);
    }

    fn ask(&mut self, profile: &Profile, native: Arch, how: &str) {
        let default = action(profile.default_action.expect("one"), profile.default_errno_ret);
        let rules: Vec<_> =
            profile.syscalls.iter().flat_map(|rule| rule.names.iter().map(move |name| (name, rule))).collect();
        let level = self.level;
        let mut lines = vec![format!("new {default:#x} {level}")];
        if native != Arch::NATIVE {
            lines.push(format!("only {:#x}", token(native)));
        }
        lines.extend(profile.architectures.iter().map(|arch| format!("arch {:#x}", token(*arch))));
        for (name, rule) in rules {
            let action = action(rule.action, rule.errno_ret);
            if action == default {
                continue;
            }
            let distinct: BTreeSet<_> = rule.args.iter().map(|condition| condition.index).collect();
            let conditions: Vec<_> = rule
                .args
                .iter()
                .map(|condition| {
                    let operator = match condition.op {
                        Operator::NotEqual => 1,
                        Operator::Less => 2,
                        Operator::LessEqual => 3,
                        Operator::Equal => 4,
                        Operator::GreaterEqual => 5,
                        Operator::Greater => 6,
                        Operator::MaskedEqual => 7,
                    };
                    format!(" {} {operator} {:#x} {:#x}", condition.index, condition.value, condition.value_two)
                })
                .collect();
            if distinct.len() == conditions.len() {
                lines.push(format!("rule {action:#x} {name} {}{}", conditions.len(), conditions.concat()));
            } else {
                lines.extend(conditions.iter().map(|condition| format!("rule {action:#x} {name} 1{condition}")));
            }
        }
        lines.push(how.to_owned());
        self.say(&lines.join("\n"));
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The C program, compiled once for all tests of a process.
fn program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/filters/oracle.c");
            let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
            let (fresh, program) = (directory.join(format!("oracle-{}", std::process::id())), directory.join("oracle"));
            let mut compiler = Command::new("cc");
            match compiler.args(["-O2", "-Wall", "-Werror", "-o"]).arg(&fresh).args([source, "-ldl"]).status() {
                Ok(status) => assert!(status.success(), "oracle.c does not compile"),
                Err(error) => {
                    eprintln!("skipped: no C compiler: {error}");
                    return None;
                }
            }
            std::fs::rename(fresh, &program).expect("renamed");
            Some(program)
        })
        .clone()
}

fn answer(line: &str, native: Arch) -> Made {
    if let Some(error) = line.strip_prefix("error ") {
        return Made::Refused(error.parse().expect("a number"));
    }
    let byte = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).expect("hexadecimal");
    let bytes: Vec<u8> = (0..line.len()).step_by(2).map(byte).collect();
    let big = is_big(native);
    let instruction = |bytes: &[u8]| {
        let (code, k) = ([bytes[0], bytes[1]], [bytes[4], bytes[5], bytes[6], bytes[7]]);
        let (code, k) = if big {
            (u16::from_be_bytes(code), u32::from_be_bytes(k))
        } else {
            (u16::from_le_bytes(code), u32::from_le_bytes(k))
        };
        Insn { code, jt: bytes[2], jf: bytes[3], k }
    };
    Made::Program(bytes.chunks_exact(8).map(instruction).collect())
}

/// Pseudo code: `if`, `else` and `action`, nested by two blanks.
pub(crate) struct Pseudo(Vec<String>);

impl Pseudo {
    /// What it says of a call that rules are about. None: nothing, so the default.
    pub(crate) fn verdict(&self, attempt: &Attempt) -> Option<Verdict> {
        let arch = format!("if ($arch == {})", attempt.arch.audit());
        let call = format!("if ($syscall == {})", attempt.number);
        let mut here = false;
        for (at, line) in self.0.iter().enumerate() {
            if line.starts_with("if ($arch") {
                here = *line == arch;
            } else if here && line.trim_start() == call {
                return self.block(at + 1, depth(line) + 2, attempt);
            }
        }
        None
    }

    /// The first action that is reached in a block of this depth.
    fn block(&self, from: usize, deep: usize, attempt: &Attempt) -> Option<Verdict> {
        let mut at = from;
        while let Some(line) = self.0.get(at).filter(|line| depth(line) >= deep) {
            let next =
                |from: usize| (from..self.0.len()).find(|at| depth(&self.0[*at]) <= deep).unwrap_or(self.0.len());
            if let Some(action) = line.trim_start().strip_prefix("action ") {
                return Some(read_action(action.trim_end_matches(';')));
            }
            if line.trim_start().starts_with('#') {
                return None;
            }
            let condition = line.trim_start().strip_prefix("if ($a").expect("a comparison");
            let holds = compare(condition.trim_end_matches(')'), attempt);
            let after = next(at + 1);
            let or_else = self.0.get(after).is_some_and(|line| depth(line) == deep && line.trim_start() == "else");
            let found = if holds {
                self.block(at + 1, deep + 2, attempt)
            } else if or_else {
                self.block(after + 1, deep + 2, attempt)
            } else {
                None
            };
            if found.is_some() {
                return found;
            }
            at = if or_else { next(after + 1) } else { after };
        }
        None
    }
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// `0.hi32 & 0x00000001 == 1`
fn compare(condition: &str, attempt: &Attempt) -> bool {
    let words: Vec<&str> = condition.split(' ').collect();
    let (arg, half) = words[0].split_once('.').unwrap_or((words[0], "lo32"));
    let arg = attempt.args[arg.parse::<usize>().expect("a number")];
    let word = if half == "hi32" { arg >> 32 } else { arg & 0xffff_ffff };
    let number = |at: usize| words[at].parse::<u64>().expect("a number");
    match words[1] {
        "==" => word == number(2),
        ">=" => word >= number(2),
        ">" => word > number(2),
        "&" => word & u64::from_str_radix(&words[2][2..], 16).expect("hexadecimal") == number(4),
        other => panic!("{other}"),
    }
}

fn read_action(action: &str) -> Verdict {
    let data = || action[action.find('(').expect("data") + 1..].trim_end_matches(')').parse().expect("a number");
    match action.split('(').next() {
        Some("KILL_PROCESS") => Verdict::KillProcess,
        Some("KILL") => Verdict::KillThread,
        Some("TRAP") => Verdict::Trap,
        Some("ERRNO") => Verdict::Errno(data()),
        Some("TRACE") => Verdict::Trace(data()),
        Some("LOG") => Verdict::Log,
        Some("ALLOW") => Verdict::Allow,
        _ => Verdict::Notify,
    }
}

/// The number of an action, as runc gives it to libseccomp.
pub(crate) fn action(action: Action, errno: Option<u32>) -> u32 {
    let data = errno.unwrap_or(1) & 0xffff;
    match action {
        Action::Kill | Action::KillThread => 0,
        Action::KillProcess => 0x8000_0000,
        Action::Trap => 0x0003_0000,
        Action::Errno => 0x0005_0000 | data,
        Action::Trace => 0x7ff0_0000 | data,
        Action::Allow => 0x7fff_0000,
        Action::Log => 0x7ffc_0000,
        Action::Notify => 0x7fc0_0000,
    }
}

/// `SCMP_ARCH_*`: the kernel's number, but for x32, which has none of its own there.
fn token(arch: Arch) -> u32 {
    if arch == Arch::X32 { 62 | 1 << 30 } else { arch.audit() }
}

pub(crate) fn is_big(arch: Arch) -> bool {
    arch.audit() & 1 << 30 == 0
}

/// What runc puts before libseccomp's program: ENOSYS for what is newer than the profile.
pub(crate) struct Stub {
    newest: Vec<(Arch, u32)>,
    errno: u16,
}

impl Stub {
    pub(crate) fn new(oracle: &mut Oracle, profile: &Profile, native: Arch) -> Self {
        let errno = match native.name() {
            name if name.starts_with("SCMP_ARCH_MIPS") => 89,
            name if name.starts_with("SCMP_ARCH_PARISC") => 251,
            _ => 38,
        };
        let mut newest = Vec::new();
        let default = profile.default_action.expect("one");
        if !matches!(default, Action::Allow | Action::Log | Action::Trace) {
            let names: BTreeSet<_> = profile.syscalls.iter().flat_map(|rule| &rule.names).collect();
            let archs: BTreeSet<_> = profile.architectures.iter().copied().chain([native]).collect();
            for arch in archs {
                let largest = names.iter().filter_map(|name| oracle.number(arch, name)).max().unwrap_or(0);
                if largest > 0 {
                    newest.push((arch, u32::try_from(largest).expect("positive")));
                }
            }
        }
        Self { newest, errno }
    }

    /// What runc's filter says: the stub's word, or that of libseccomp's program.
    pub(crate) fn verdict(&self, program: &[Insn], attempt: &Attempt) -> Verdict {
        let enosys = Verdict::Errno(self.errno);
        for (arch, newest) in self.newest.iter().filter(|(arch, _)| arch.audit() == attempt.arch.audit()) {
            let marked = attempt.number & 1 << 30 != 0;
            let same = match arch {
                Arch::X86_64 => !marked,
                Arch::X32 => marked,
                Arch::S390 | Arch::S390x if attempt.number == 0 => return enosys,
                _ => true,
            };
            if same && attempt.number > *newest {
                return enosys;
            }
        }
        verdict(program, attempt).expect("libseccomp's programs run")
    }
}
