//! Capability names.

use rt_wire::CAPABILITIES;

/// The number of a capability, with or without `CAP_`, in any case.
pub fn number(name: &str) -> Option<u8> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let index = CAPABILITIES.iter().position(|known| *known == bare)?;
    u8::try_from(index).ok()
}

/// All that can be asked for, by number, as a config has them: `CAP_CHOWN`.
pub fn names() -> impl Iterator<Item = String> {
    CAPABILITIES.iter().map(|name| format!("CAP_{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_numbers() {
        let numbers: Vec<_> = names().map(|name| number(&name)).collect();
        assert_eq!(numbers, (0..41).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn names_are_found_however_they_are_spelt() {
        assert_eq!(number("CAP_CHOWN"), Some(0));
        assert_eq!(number("sys_admin"), Some(21));
        assert_eq!(number("cap_checkpoint_restore"), Some(40));
        assert_eq!(number("CAP_NO_SUCH"), None);
    }
}
