//! What becomes of one system call in a container, and which part of the config decides.

use crate::error::invalid;
use crate::seccomp::{Profile, annotated, architectures};
use crate::{Error, Spec, words};
use rt_seccomp::{Action, Arch, Attempt, Insn, Reason, Verdict};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A system call that somebody asks about: `clone:0x10000000`, `socket:40,2`, or by its number, `437`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    call: Call,
    args: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Name(String),
    Number(u32),
}

impl FromStr for Question {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (call, args) = text.split_once(':').unwrap_or((text, ""));
        let args = args.split(',').filter(|_| !args.is_empty()).map(|arg| {
            number(arg).ok_or_else(|| format!("\"{arg}\" is no number: arguments are decimal, or hexadecimal after 0x"))
        });
        let args = args.collect::<Result<Vec<_>, _>>()?;
        if args.len() > 6 {
            return Err(format!("a system call has six arguments at most, not {}", args.len()));
        }
        let call = match number(call) {
            Some(number) => {
                Call::Number(u32::try_from(number).map_err(|_| format!("no system call has the number {call}"))?)
            }
            None if rt_seccomp::names().any(|name| name == call) => Call::Name(call.to_owned()),
            None => return Err(format!("there is no system call \"{call}\"")),
        };
        Ok(Self { call, args })
    }
}

/// A minus sign is taken: half of all system calls have an argument that is -1.
fn number(text: &str) -> Option<u64> {
    match (text.strip_prefix("0x"), text.strip_prefix('-')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) => digits.parse::<u64>().ok().map(u64::wrapping_neg),
        (None, None) => text.parse().ok(),
    }
}

/// The answer: one for each architecture that the profile lists.
#[derive(Debug, Serialize)]
pub struct Answer {
    call: String,
    args: Vec<u64>,
    rulings: Vec<Ruling>,
}

#[derive(Debug, Serialize)]
struct Ruling {
    architecture: Arch,
    /// None where the architecture has no such call.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<u16>,
    /// The part of the config.
    by: String,
}

/// Ask.
///
/// # Errors
/// What is wrong with the profile.
pub fn ask(spec: &Spec<'_>, question: &Question) -> Result<Answer, Error> {
    let profile = spec.linux.seccomp.as_ref().filter(|profile| !profile.is_empty());
    let rulings = if let Some((field, program)) = annotated(&spec.annotations)? {
        vec![by_program(&program, question, field)?]
    } else if let Some(profile) = profile {
        architectures(profile).map(|arch| by_profile(profile, question, arch)).collect::<Result<_, _>>()?
    } else {
        vec![Ruling::new(Arch::NATIVE, Verdict::Allow, "there is no filter")]
    };
    let call = match &question.call {
        Call::Name(name) => name.clone(),
        Call::Number(number) => number.to_string(),
    };
    Ok(Answer { call, args: question.args.clone(), rulings })
}

fn by_profile(profile: &Profile<'_>, question: &Question, arch: Arch) -> Result<Ruling, Error> {
    let Some(attempt) = question.on(arch) else { return Ok(Ruling::none(arch)) };
    let answer = rt_seccomp::answer(profile, Arch::NATIVE, &attempt)
        .map_err(|error| invalid("linux.seccomp", error.to_string()))?;
    let by = match answer.reason {
        Reason::Rule(index) => format!("linux.seccomp.syscalls[{index}]"),
        Reason::Default => "linux.seccomp.defaultAction".to_owned(),
        Reason::Newer => "it is newer than every system call that the profile names".to_owned(),
        Reason::Foreign => "linux.seccomp.architectures does not list whose it is".to_owned(),
    };
    Ok(Ruling::new(arch, answer.verdict, by))
}

fn by_program(program: &[u8], question: &Question, field: String) -> Result<Ruling, Error> {
    let Some(attempt) = question.on(Arch::NATIVE) else { return Ok(Ruling::none(Arch::NATIVE)) };
    let (instructions, _) = program.as_chunks::<8>();
    let instructions: Vec<Insn> = instructions.iter().map(|bytes| Insn::from_bytes(*bytes)).collect();
    match rt_seccomp::verdict(&instructions, &attempt) {
        Ok(verdict) => Ok(Ruling::new(Arch::NATIVE, verdict, field)),
        Err(fault) => Err(invalid(field, format!("not a program that a filter can be: {fault:?}"))),
    }
}

impl Question {
    fn on(&self, arch: Arch) -> Option<Attempt> {
        let number = match &self.call {
            Call::Name(name) => rt_seccomp::number(arch, name)?,
            Call::Number(number) => *number,
        };
        let mut args = [0; 6];
        args.iter_mut().zip(&self.args).for_each(|(arg, given)| *arg = *given);
        Some(Attempt { arch, number, args })
    }
}

impl Ruling {
    fn none(architecture: Arch) -> Self {
        Self { architecture, action: None, errno: None, by: "it has no such call".to_owned() }
    }

    fn new(architecture: Arch, verdict: Verdict, by: impl Into<String>) -> Self {
        let (action, errno) = match verdict {
            Verdict::KillProcess => (Action::KillProcess, None),
            Verdict::KillThread => (Action::KillThread, None),
            Verdict::Trap => (Action::Trap, None),
            Verdict::Errno(errno) => (Action::Errno, Some(errno)),
            Verdict::Notify => (Action::Notify, None),
            Verdict::Trace(data) => (Action::Trace, Some(data)),
            Verdict::Log => (Action::Log, None),
            Verdict::Allow => (Action::Allow, None),
        };
        Self { architecture, action: Some(action), errno, by: by.into() }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<String> = self.args.iter().map(|arg| format!("{arg:#x}")).collect();
        writeln!(f, "{}({})", self.call, args.join(", "))?;
        for Ruling { architecture, action, errno, by } in &self.rulings {
            write!(f, "      {architecture}: ")?;
            match (action, errno) {
                (None, _) => {}
                (Some(Action::Errno), Some(errno)) => {
                    write!(f, "SCMP_ACT_ERRNO {errno}, {}; ", words(i32::from(*errno)))?;
                }
                (Some(action), Some(data)) => write!(f, "{action} {data}; ")?,
                (Some(action), None) => write!(f, "{action}; ")?,
            }
            writeln!(f, "{by}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_name_or_a_number_and_its_arguments() {
        let question = |text: &str| text.parse::<Question>();
        let name = |name: &str, args: &[u64]| Ok(Question { call: Call::Name(name.into()), args: args.into() });
        assert_eq!(question("mkdir"), name("mkdir", &[]));
        assert_eq!(question("clone:0x10,7"), name("clone", &[16, 7]));
        assert_eq!(question("kill:-1,9"), name("kill", &[u64::MAX, 9]));
        assert_eq!(question("437:1"), Ok(Question { call: Call::Number(437), args: vec![1] }));
        for wrong in ["", "mkdri", "clone:x", "clone:1,,2", "clone:1,2,3,4,5,6,7", "4294967296", "clone:-0x1"] {
            assert!(question(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_architecture_of_the_profile_answers() {
        let config = r#"{ "process": { "args": ["sh"], "cwd": "/" }, "root": { "path": "rootfs" }, "linux": { "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            "syscalls": [{ "names": ["read", "mkdir", "pidfd_open"], "action": "SCMP_ACT_ALLOW" },
                { "names": ["clone"], "action": "SCMP_ACT_KILL", "args": [{ "index": 0, "value": 5, "op": "SCMP_CMP_EQ" }] }]
        } } }"#;
        let spec = Spec::parse(config.as_bytes()).expect("a config");
        let answer = |text: &str| {
            let answer = ask(&spec, &text.parse().expect("a question")).expect("an answer").to_string();
            // The machine's own comes first.
            let native = format!("      {}", Arch::NATIVE);
            assert!(answer.lines().nth(1).is_some_and(|line| line.starts_with(&native)), "{answer}");
            answer
        };
        let mkdir = answer("mkdir:0x10");
        assert!(mkdir.starts_with("mkdir(0x10)\n"), "{mkdir}");
        assert!(mkdir.contains("SCMP_ARCH_X86_64: SCMP_ACT_ALLOW; linux.seccomp.syscalls[0]\n"), "{mkdir}");
        assert!(mkdir.contains("SCMP_ARCH_AARCH64: it has no such call\n"), "{mkdir}");
        let clone = answer("clone:5");
        assert!(clone.contains("SCMP_ARCH_X86_64: SCMP_ACT_KILL_THREAD; linux.seccomp.syscalls[1]\n"), "{clone}");
        let other = answer("clone:4");
        assert!(other.contains("SCMP_ACT_ERRNO 1, operation not permitted; linux.seccomp.defaultAction\n"), "{other}");
        let newer = answer("fchmodat2");
        assert!(newer.contains("SCMP_ACT_ERRNO 38, function not implemented; it is newer"), "{newer}");
    }

    #[test]
    fn a_program_of_an_annotation_answers_for_itself() {
        // ret SECCOMP_RET_ERRNO | 5
        let config = r#"{ "process": { "args": ["sh"], "cwd": "/" }, "root": { "path": "rootfs" },
            "annotations": { "run.oci.seccomp_bpf_data": "BgAAAAUABQA=" } }"#;
        let spec = Spec::parse(config.as_bytes()).expect("a config");
        let answer = ask(&spec, &"read".parse().expect("a question")).expect("an answer").to_string();
        assert!(
            answer.contains("SCMP_ACT_ERRNO 5, input/output error; annotations[\"run.oci.seccomp_bpf_data\"]"),
            "{answer}"
        );
    }
}
