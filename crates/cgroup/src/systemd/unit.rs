//! The unit that a container is for systemd: its name, where it is, and whose systemd it belongs to.

use crate::error::Error;
use crate::layout::Layout;
use crate::place::{Place, join};
use serde::{Deserialize, Serialize};

/// Whose systemd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// The system's.
    #[default]
    System,
    /// The user's who calls.
    User,
}

/// A scope of systemd's: what its processes are to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its whole name, `rt-web.scope`.
    pub name: String,
    /// The slice that it is in, `system.slice`.
    pub slice: String,
    /// Who looks after it.
    pub whose: Whose,
}

impl Unit {
    /// As `linux.cgroupsPath` says, `slice:prefix:name`: all of it by default, the slice also when it is empty.
    ///
    /// # Errors
    /// [`Error::Config`] for what is not of this form, or can't be a unit's name.
    pub fn new(cgroups_path: Option<&str>, id: &str, whose: Whose) -> Result<Self, Error> {
        let refuse = |why: String| Err(Error::config("linux.cgroupsPath", why));
        let usual = match whose {
            Whose::System => "system.slice",
            Whose::User => "user.slice",
        };
        let Some(path) = cgroups_path.filter(|path| !path.is_empty()) else {
            return Ok(Self { name: format!("rt-{}.scope", escape(id)), slice: usual.to_owned(), whose });
        };
        let parts: Vec<&str> = path.split(':').collect();
        let [slice, prefix, name] = parts[..] else {
            // The words are runc's.
            return refuse(format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {path:?} instead"
            ));
        };
        if name.ends_with(".slice") {
            return refuse(format!("{name} is a slice: it is for units, and no process lives there"));
        }
        let slice = if slice.is_empty() { usual } else { slice };
        if expand(slice).is_none() {
            return refuse(format!("invalid slice name: {slice}"));
        }
        let unit = Self { name: format!("{prefix}-{name}.scope"), slice: slice.to_owned(), whose };
        for name in [&unit.name, &unit.slice] {
            if name.len() > 255 || !name.bytes().all(is_of_names) {
                return refuse(format!(
                    "{name:?} is no name that systemd takes: letters, digits and :-_.\\@ are allowed, and 255 of them"
                ));
            }
        }
        Ok(unit)
    }

    /// Its cgroup. `above` is the cgroup that its systemd has for itself.
    pub(super) fn cgroup(&self, mount: &str, above: &str) -> String {
        let slice = expand(&self.slice).unwrap_or_default();
        join(mount, &[above, &slice, &self.name])
    }

    /// Its cgroup, without asking systemd, whose own may be another.
    ///
    /// # Errors
    /// As [`super::Systemd::place`].
    pub fn guess(&self, layout: &Layout, uid: u32) -> Result<Place, Error> {
        let above = match self.whose {
            Whose::System => String::new(),
            Whose::User => format!("/user.slice/user-{uid}.slice/user@{uid}.service"),
        };
        place(self, layout, &above)
    }
}

pub(super) fn place(unit: &Unit, layout: &Layout, above: &str) -> Result<Place, Error> {
    let Layout::Unified(hierarchy) = layout else { return Err(Error::SystemdNeedsV2) };
    let mut place = Place::default();
    place.insert("", unit.cgroup(&hierarchy.mount, above));
    Ok(place)
}

/// systemd.unit(5): what names are made of.
fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte)
}

/// As systemd-escape(1) does: an id may have a `+`.
fn escape(id: &str) -> String {
    let escaped = |byte: u8| match is_of_names(byte) {
        true => char::from(byte).to_string(),
        false => format!("\\x{byte:02x}"),
    };
    id.bytes().map(escaped).collect()
}

/// The path of a slice: `a-b.slice` is in `a.slice`, and `-.slice` is the root.
fn expand(slice: &str) -> Option<String> {
    let name = slice.strip_suffix(".slice").filter(|name| !name.contains('/'))?;
    let mut path = String::new();
    if name == "-" {
        return Some(path);
    }
    for (end, _) in name.match_indices('-').chain([(name.len(), "")]) {
        let part = &name[..end];
        if part.is_empty() || part.ends_with('-') {
            return None;
        }
        path = format!("{path}/{part}.slice");
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hierarchy;

    fn unit(path: &str) -> Result<(String, String), String> {
        let unit = Unit::new(Some(path), "web", Whose::System);
        unit.map(|unit| (unit.name, unit.slice)).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_runc_s() {
        let pair = |name: &str, slice: &str| Ok((name.to_owned(), slice.to_owned()));
        assert_eq!(unit(""), pair("rt-web.scope", "system.slice"));
        assert_eq!(unit("machine.slice:libpod:abc"), pair("libpod-abc.scope", "machine.slice"));
        assert_eq!(unit(":docker:abc"), pair("docker-abc.scope", "system.slice"));
        assert_eq!(unit("a-b.slice::x"), pair("-x.scope", "a-b.slice"));
        let user = Unit::new(None, "a+b", Whose::User).expect("a unit");
        assert_eq!((user.name.as_str(), user.slice.as_str()), ("rt-a\\x2bb.scope", "user.slice"));
    }

    #[test]
    fn what_is_no_unit_is_refused() {
        for (path, words) in [
            ("/a/b", "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/a/b\""),
            ("a.slice:b", "of format"),
            ("a.slice:b:c:d", "of format"),
            ("a:b:c", "invalid slice name: a"),
            ("a--b.slice:b:c", "invalid slice name"),
            ("-a.slice:b:c", "invalid slice name"),
            (".slice:b:c", "invalid slice name"),
            ("a/b.slice:b:c", "invalid slice name"),
            ("a.slice:b:c.slice", "is a slice"),
            ("a.slice:b:../c", "no name that systemd takes"),
            ("a.slice:b c:d", "no name that systemd takes"),
            ("ä.slice:b:d", "no name that systemd takes"),
        ] {
            let refusal = unit(path).expect_err(path);
            assert!(refusal.contains(words), "{path}: {refusal}");
        }
        assert!(unit(&format!("a.slice:b:{}", "c".repeat(300))).is_err());
    }

    #[test]
    fn a_slice_is_in_those_that_its_name_begins_with() {
        let hierarchy = Hierarchy { mount: "/c".to_owned(), controllers: Vec::new(), own: "/".to_owned() };
        let place = |path: &str, whose| {
            let unit = Unit::new(Some(path), "web", whose).expect("a unit");
            unit.guess(&Layout::Unified(hierarchy.clone()), 1000).expect("a place").to_string()
        };
        assert_eq!(place("a-b-c.slice:p:n", Whose::System), "/c/a.slice/a-b.slice/a-b-c.slice/p-n.scope");
        assert_eq!(place("-.slice:p:n", Whose::System), "/c/p-n.scope");
        let user = "/c/user.slice/user-1000.slice/user@1000.service/user.slice/rt-web.scope";
        assert_eq!(place("", Whose::User), user);
        let unit = Unit::new(None, "web", Whose::System).expect("a unit");
        assert!(unit.guess(&Layout::None, 0).is_err());
    }

    #[test]
    fn it_is_stored_in_words() {
        let unit = Unit::new(None, "web", Whose::User).expect("a unit");
        let json = serde_json::to_string(&unit).expect("writable");
        assert_eq!(json, r#"{"name":"rt-web.scope","slice":"user.slice","whose":"user"}"#);
        assert_eq!(serde_json::from_str::<Unit>(&json).expect("readable"), unit);
    }
}
