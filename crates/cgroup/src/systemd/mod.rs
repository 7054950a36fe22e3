//! Cgroups that systemd makes: a transient scope for each container.
//!
//! What to tell it is computed purely ([`properties`]); a small client of D-Bus tells it ([`Systemd`]), over the bus of
//! the system or of the user. What systemd has no words for is written to the cgroup's files afterwards, as without it.

#![forbid(unsafe_code)]

mod address;
mod bus;
mod gvariant;
mod manager;
mod message;
pub mod properties;
mod scope;
#[cfg(test)]
mod tests;
mod unit;
mod value;

pub use manager::Systemd;
pub use properties::Property;
pub(crate) use scope::Scope;
pub use unit::{Unit, Whose};
pub use value::Value;
