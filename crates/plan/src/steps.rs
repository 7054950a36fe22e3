//! The list that grows while a plan is made: written at once in the form that init reads.

use rt_wire::{Field as _, Header, Part, Reader, Step};

/// Steps, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    bytes: Vec<u8>,
    count: u32,
}

impl Steps {
    /// None yet.
    pub fn new() -> Self {
        Self { bytes: Vec::with_capacity(8 << 10), count: 0 }
    }

    /// Add one at the end.
    pub fn push(&mut self, step: Step<'_>) {
        step.write(&mut self.bytes);
        self.count += 1;
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = Step<'_>> {
        let mut reader = Reader::new(&self.bytes);
        std::iter::from_fn(move || reader.value())
    }

    /// Step `number`, from 0.
    pub fn step(&self, number: usize) -> Option<Step<'_>> {
        self.iter().nth(number)
    }

    /// The message for init: the steps behind a header with the descriptors that only exist now.
    pub fn message(&self, socket: i32, listener: i32, inherited: &[i32]) -> Vec<u8> {
        let mut out = Vec::with_capacity(Header::LEN + self.bytes.len() + inherited.len() * 4);
        let len = Header::LEN + inherited.len() * 4 + self.bytes.len();
        let header = Header {
            len: u32::try_from(len).unwrap_or(u32::MAX),
            steps: self.count,
            socket,
            listener,
            inherited: u32::try_from(inherited.len()).unwrap_or(u32::MAX),
        };
        header.write(&mut out);
        for number in inherited {
            number.write(&mut out);
        }
        out.extend_from_slice(&self.bytes);
        out
    }

    /// What went wrong in step `number`, in words: the step, the part, the kernel's answer, and what a hook has said.
    pub fn explain(&self, number: u16, part: Part, answer: &str, said: &str) -> String {
        let step = self.step(usize::from(number)).map_or_else(|| "read the plan".to_owned(), |step| step.to_string());
        failure(&step, part, answer, said, usize::from(number) + 1, self.len())
    }
}

/// A failed step in words. `number` counts from 1.
pub fn failure(step: &str, part: Part, answer: &str, said: &str, number: usize, of: usize) -> String {
    let place = format!("(step {number} of {of})");
    // runc's words, which callers look for.
    let step =
        if is_hook(step) { format!("error running {}", step.trim_start_matches("run ")) } else { step.to_owned() };
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    match part {
        Part::Whole => format!("{step}: {answer} {place}"),
        Part::NotInPath | Part::Late => format!("{step}: {part}{said} {place}"),
        Part::Status | Part::Signal => format!("{step}: {part} {answer}{said} {place}"),
        Part::Panic => format!("{step}: {part} at line {answer}: this is a bug of rt {place}"),
        _ => format!("{step}: {part}: {answer} {place}"),
    }
}

/// Whether a step, in its words, is a hook.
pub fn is_hook(step: &str) -> bool {
    step.strip_prefix("run ").is_some_and(|hook| hook.contains(" hook #"))
}
