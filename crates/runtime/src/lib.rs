//! (to come)
/// x
pub static INIT: &[u8] = include_bytes!(env!("RT_INIT"));
