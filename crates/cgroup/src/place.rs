//! The directories of one container's cgroup.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One directory per controller; the v2 hierarchy's name is empty. As data it is the `cgroup_paths` that runc
/// keeps in its state file, so those who read that can read ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place {
    paths: BTreeMap<String, String>,
}

impl Place {
    /// Controller to directory, both as in runc's `cgroup_paths`.
    pub fn paths(&self) -> &BTreeMap<String, String> {
        &self.paths
    }

    /// The directory for a controller of v1; the empty name is the v2 hierarchy.
    pub fn dir(&self, controller: &str) -> Option<&str> {
        self.paths.get(controller).map(String::as_str)
    }

    /// Each directory once, the v2 one first, with the controllers that it is for.
    pub fn dirs(&self) -> Vec<(&str, Vec<&str>)> {
        let mut dirs: Vec<(&str, Vec<&str>)> = Vec::new();
        for (controller, path) in &self.paths {
            match dirs.iter_mut().find(|(known, _)| known == path) {
                Some((_, controllers)) => controllers.push(controller),
                None => dirs.push((path, vec![controller])),
            }
        }
        dirs
    }

    pub(crate) fn insert(&mut self, controller: &str, dir: String) {
        self.paths.insert(controller.to_owned(), dir);
    }

    pub(crate) fn remove(&mut self, controller: &str) {
        self.paths.remove(controller);
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.paths.is_empty() {
            return f.write_str("none");
        }
        for (index, (dir, _)) in self.dirs().into_iter().enumerate() {
            write!(f, "{}{dir}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// The directory above.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(parent, _)| parent)
}

/// What a path comes to, seen from a root that `..` can't climb out of.
pub(crate) fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts
}

/// The paths below `mount`, each cleaned by itself: none of them can climb out of the one before it.
pub(crate) fn join(mount: &str, paths: &[&str]) -> String {
    let mut whole = mount.to_owned();
    for part in paths.iter().flat_map(|path| parts(path)) {
        whole.push('/');
        whole.push_str(part);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_below_the_root() {
        for (path, clean) in [
            ("", ""),
            ("/", ""),
            ("..", ""),
            ("/a/../../b", "b"),
            ("../../x", "x"),
            ("a//b/./c/../d", "a/b/d"),
            ("...", "..."),
        ] {
            assert_eq!(parts(path).join("/"), clean, "{path:?}");
        }
    }

    #[test]
    fn a_place_is_stored_as_runc_stores_it() {
        let mut place = Place::default();
        place.insert("", "/sys/fs/cgroup/web".to_owned());
        let json = serde_json::to_string(&place).expect("writable");
        assert_eq!(json, r#"{"":"/sys/fs/cgroup/web"}"#);
        assert_eq!(serde_json::from_str::<Place>(&json).expect("readable"), place);
    }

    #[test]
    fn controllers_mounted_together_are_one_directory() {
        let mut place = Place::default();
        place.insert("cpu", "/c/cpu,cpuacct/web".to_owned());
        place.insert("cpuacct", "/c/cpu,cpuacct/web".to_owned());
        place.insert("memory", "/c/memory/web".to_owned());
        let expected = [("/c/cpu,cpuacct/web", vec!["cpu", "cpuacct"]), ("/c/memory/web", vec!["memory"])];
        assert_eq!(place.dirs(), expected);
        assert_eq!(place.to_string(), "/c/cpu,cpuacct/web, /c/memory/web");
    }
}
