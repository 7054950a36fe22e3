//! Capability names.

use rt_wire::CAPABILITIES;

/// The number of a capability, with or without `CAP_`, in any case.
pub fn number(name: &str) -> Option<u8> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let index = CAPABILITIES.iter().position(|known| *known == bare)?;
    u8::try_from(index).ok()
}

/// All capabilities up to number `last`.
pub fn all(last: u8) -> u64 {
    u64::MAX >> (63 - last.min(63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_spelt() {
        assert_eq!(number("CAP_CHOWN"), Some(0));
        assert_eq!(number("sys_admin"), Some(21));
        assert_eq!(number("cap_checkpoint_restore"), Some(40));
        assert_eq!(number("CAP_NO_SUCH"), None);
    }

    #[test]
    fn all_has_one_bit_for_each() {
        assert_eq!(all(40).count_ones(), 41);
        assert_eq!(all(63), u64::MAX);
    }
}
