//! What the parent and init say to each other: the [`Step`]s of a plan, written once as one flat message, and
//! the few [`Report`]s and [`Order`]s of the walk. `no_std`: init reads a plan without a heap.

#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

mod message;
mod print;
mod step;
mod talk;
mod text;

#[cfg(feature = "alloc")]
pub use message::Writer;
pub use message::{Field, HELD, Header, NONE, PLAN_ADDRESS, Reader, STEPS_MAX};
pub use print::{Amount, CAPABILITIES, CapabilityNames, LIMITS};
pub use step::{
    Capabilities, Change, Device, DeviceKind, Enter, Follow, HookKind, LabelKind, Likely, Load, Namespace, Parent,
    Part, Propagate, Rlimit, Scheduler, Step, Target, Tree,
};
pub use talk::{Order, Report};
pub use text::{Bytes, Text, Texts};
