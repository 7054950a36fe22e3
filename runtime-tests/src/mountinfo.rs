//! /proc/self/mountinfo, as far as tests look at it.

/// One line of it.
#[derive(Debug)]
pub struct Mount {
    /// The directory of the filesystem that is mounted.
    pub root: String,
    /// Where.
    pub point: String,
    /// The options of the mount.
    pub options: Vec<String>,
    /// `shared:1`, `master:2`, `propagate_from:3`, `unbindable`; none is private.
    pub propagation: Vec<String>,
    /// The filesystem's type.
    pub kind: String,
    /// What was given as source.
    pub source: String,
    /// The options of the filesystem.
    pub super_options: Vec<String>,
}

impl Mount {
    /// Does the mount have this option (not: its filesystem)?
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|has| has == option)
    }

    /// Does the filesystem have this option?
    pub fn filesystem_has(&self, option: &str) -> bool {
        self.super_options.iter().any(|has| has == option)
    }

    /// Is it a peer of other mounts?
    pub fn is_shared(&self) -> bool {
        self.propagation.iter().any(|tag| tag.starts_with("shared:"))
    }

    /// Does it receive from other mounts?
    pub fn is_slave(&self) -> bool {
        self.propagation.iter().any(|tag| tag.starts_with("master:"))
    }
}

/// Every mount in the text of a mountinfo file; lines of other shape are left out.
pub fn mounts(text: &str) -> Vec<Mount> {
    text.lines().filter_map(mount).collect()
}

/// The topmost mount at a path.
#[track_caller]
pub fn mount_at(text: &str, point: &str) -> Mount {
    mounts(text)
        .into_iter()
        .rfind(|mount| mount.point == point)
        .unwrap_or_else(|| panic!("no mount at {point} in:\n{text}"))
}

fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let right: Vec<&str> = right.split(' ').collect();
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    Some(Mount {
        root: (*left.get(3)?).to_owned(),
        point: (*left.get(4)?).to_owned(),
        options: list(left.get(5)?),
        propagation: left.get(6..)?.iter().map(|&tag| tag.to_owned()).collect(),
        kind: (*right.first()?).to_owned(),
        source: (*right.get(1)?).to_owned(),
        super_options: list(right.get(2)?),
    })
}
