//! The conversation, over a SOCK_SEQPACKET pair: one message, one datagram of twelve bytes.
//!
//! ```text
//! parent                                init
//!   clone3 ───────────────────────────▶  reads its plan
//!   id maps ── Proceed ───────────────▶  AwaitParent (only where there is a map to write)
//!   ◀─────────────────────── Warning ──  a limit that could not be raised (any number)
//!   ◀──────────────────────── Hooks ──  (only where there are hooks before the root is entered)
//!   runs them ── Proceed ─────────────▶
//!   ◀───────────────────── Listener ──  (only where a filter notifies)
//!   takes it ── Proceed ──────────────▶
//!   ◀───────────────────────── Ready ──  everything but the program itself
//!   state.json ── Proceed ────────────▶  waits for `start` on its listener, or goes on (`rt run`)
//!   ◀── end of file, or Failed ────────  exec closes the socket: end of file means running
//!
//! rt start ── connects ───────────────▶  accepts
//!   ◀── end of file, or Failed ────────
//! ```
//! What a hook has said last follows the `Failed` that names it, in the same datagram.
//!
//! A parent that dies is an end of file too: init then leaves, and with it everything it has made.

use crate::step::Part;

/// What init says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// All steps before `Ready` are done.
    Ready,
    /// All steps before `AwaitHooks` are done.
    Hooks,
    /// A filter that notifies is loaded: init waits until its listener, this descriptor of init's, was taken.
    Listener {
        /// Its number.
        number: i32,
    },
    /// Step `step` failed, and init with it.
    Failed {
        /// Its place in the plan, from 0.
        step: u16,
        /// Which part of it.
        part: Part,
        /// The kernel's answer.
        errno: i32,
    },
    /// Step `step` did what it could, which is less than asked.
    Warning {
        /// Its place in the plan, from 0.
        step: u16,
        /// The kernel's answer.
        errno: i32,
        /// What it is now: a limit's value in units of the limit, cut to 32 bits.
        value: u32,
    },
}

/// What the parent answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go on.
    Proceed,
}

impl Report {
    /// Bytes of a datagram, without the text that may follow.
    pub const LEN: usize = 12;
    /// Bytes of the longest.
    pub const LONGEST: usize = 512;

    /// As a datagram.
    pub fn encode(self) -> [u8; Self::LEN] {
        let (kind, part, step, errno, value) = match self {
            Self::Ready => (1u8, Part::Whole, 0u16, 0i32, 0u32),
            Self::Failed { step, part, errno } => (2, part, step, errno, 0),
            Self::Warning { step, errno, value } => (3, Part::Whole, step, errno, value),
            Self::Hooks => (4, Part::Whole, 0, 0, 0),
            Self::Listener { number } => (5, Part::Whole, 0, number, 0),
        };
        let [s0, s1] = step.to_le_bytes();
        let [e0, e1, e2, e3] = errno.to_le_bytes();
        let [v0, v1, v2, v3] = value.to_le_bytes();
        [kind, part as u8, s0, s1, e0, e1, e2, e3, v0, v1, v2, v3]
    }

    /// From a datagram; `None` if it is none of ours.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let &[kind, part, s0, s1, e0, e1, e2, e3, v0, v1, v2, v3, ..] = bytes else { return None };
        let step = u16::from_le_bytes([s0, s1]);
        let errno = i32::from_le_bytes([e0, e1, e2, e3]);
        match kind {
            1 => Some(Self::Ready),
            2 => Some(Self::Failed { step, part: Part::from_number(part)?, errno }),
            3 => Some(Self::Warning { step, errno, value: u32::from_le_bytes([v0, v1, v2, v3]) }),
            4 => Some(Self::Hooks),
            5 => Some(Self::Listener { number: errno }),
            _ => None,
        }
    }
}

impl Order {
    /// As a datagram.
    pub fn encode(self) -> [u8; 1] {
        match self {
            Self::Proceed => [1],
        }
    }

    /// From a datagram; `None` if it is none of ours.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        (bytes == [1]).then_some(Self::Proceed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_its_datagram() {
        for report in [
            Report::Ready,
            Report::Hooks,
            Report::Listener { number: 7 },
            Report::Failed { step: 700, part: Part::Attach, errno: 2 },
            Report::Warning { step: 3, errno: 1, value: 20_000 },
        ] {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
    }

    #[test]
    fn a_foreign_datagram_is_refused() {
        assert_eq!(Report::decode(&[9; Report::LEN]), None);
        assert_eq!(Report::decode(&[1, 0, 0]), None);
        assert_eq!(Report::decode(&[2, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
