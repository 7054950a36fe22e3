//! The config as rt needs it: parsed, checked, with nothing optional left that matters.
//!
//! Strings are borrowed from the file where they have no escape. The types are rt's own where oci-spec refuses
//! configs that runc accepts (an unknown capability, a null list, `pids: {}`), and oci-spec's where they fit.

mod check;
mod parse;
pub mod resources;
mod text;

pub(crate) use check::dotted;
pub use parse::{
    Annotations, Capabilities, ConsoleSize, CpuAffinity, Device, Hook, Hooks, IoPriority, LONGEST, Linux, Mount,
    Namespace, Personality, Process, Rlimit, Root, Scheduler, Spec, TimeOffset, User,
};
pub use text::Str;
