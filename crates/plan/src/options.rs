//! Mount options: mount(8)'s words, and the ones that runtimes add.

use rt_wire::{Change, Follow, Propagate, Tree};

/// `MS_*` of mount(2) and `MOUNT_ATTR_*` of mount_setattr(2), as far as options name them.
mod bits {
    pub(super) const RDONLY: u32 = 1;
    pub(super) const NOSUID: u32 = 1 << 1;
    pub(super) const NODEV: u32 = 1 << 2;
    pub(super) const NOEXEC: u32 = 1 << 3;
    pub(super) const SYNCHRONOUS: u32 = 1 << 4;
    pub(super) const MANDLOCK: u32 = 1 << 6;
    pub(super) const DIRSYNC: u32 = 1 << 7;
    pub(super) const NOSYMFOLLOW: u32 = 1 << 8;
    pub(super) const NOATIME: u32 = 1 << 10;
    pub(super) const NODIRATIME: u32 = 1 << 11;
    pub(super) const SILENT: u32 = 1 << 15;
    pub(super) const RELATIME: u32 = 1 << 21;
    pub(super) const I_VERSION: u32 = 1 << 23;
    pub(super) const STRICTATIME: u32 = 1 << 24;
    pub(super) const LAZYTIME: u32 = 1 << 25;

    pub(super) const ATTR_RDONLY: u64 = 0x1;
    pub(super) const ATTR_NOSUID: u64 = 0x2;
    pub(super) const ATTR_NODEV: u64 = 0x4;
    pub(super) const ATTR_NOEXEC: u64 = 0x8;
    pub(super) const ATTR_ATIME: u64 = 0x70;
    pub(super) const ATTR_NOATIME: u64 = 0x10;
    pub(super) const ATTR_STRICTATIME: u64 = 0x20;
    pub(super) const ATTR_NODIRATIME: u64 = 0x80;
    pub(super) const ATTR_NOSYMFOLLOW: u64 = 0x20_0000;
}
use bits::*;

/// The option `ro`.
pub const READ_ONLY: u32 = RDONLY;
/// What only mount(2) can set: a superblock's own flags.
pub const SUPERBLOCK: u32 = SYNCHRONOUS | MANDLOCK | DIRSYNC | SILENT | I_VERSION | LAZYTIME;

/// Words for flags: what each sets, and what its opposite clears.
const FLAGS: [(&str, u32, bool); 30] = [
    ("ro", RDONLY, true),
    ("rw", RDONLY, false),
    ("nosuid", NOSUID, true),
    ("suid", NOSUID, false),
    ("nodev", NODEV, true),
    ("dev", NODEV, false),
    ("noexec", NOEXEC, true),
    ("exec", NOEXEC, false),
    ("sync", SYNCHRONOUS, true),
    ("async", SYNCHRONOUS, false),
    ("mand", MANDLOCK, true),
    ("nomand", MANDLOCK, false),
    ("dirsync", DIRSYNC, true),
    ("nosymfollow", NOSYMFOLLOW, true),
    ("symfollow", NOSYMFOLLOW, false),
    ("noatime", NOATIME, true),
    ("atime", NOATIME, false),
    ("nodiratime", NODIRATIME, true),
    ("diratime", NODIRATIME, false),
    ("relatime", RELATIME, true),
    ("norelatime", RELATIME, false),
    ("strictatime", STRICTATIME, true),
    ("nostrictatime", STRICTATIME, false),
    ("lazytime", LAZYTIME, true),
    ("nolazytime", LAZYTIME, false),
    ("iversion", I_VERSION, true),
    ("noiversion", I_VERSION, false),
    ("silent", SILENT, true),
    ("loud", SILENT, false),
    ("acl", 0, true),
];

/// Recursive words: what each sets and what it clears first. Access times are one field of several bits.
const RECURSIVE: [(&str, u64, u64); 18] = [
    ("rro", ATTR_RDONLY, 0),
    ("rrw", 0, ATTR_RDONLY),
    ("rnosuid", ATTR_NOSUID, 0),
    ("rsuid", 0, ATTR_NOSUID),
    ("rnodev", ATTR_NODEV, 0),
    ("rdev", 0, ATTR_NODEV),
    ("rnoexec", ATTR_NOEXEC, 0),
    ("rexec", 0, ATTR_NOEXEC),
    ("rnodiratime", ATTR_NODIRATIME, 0),
    ("rdiratime", 0, ATTR_NODIRATIME),
    ("rrelatime", 0, ATTR_ATIME),
    ("rnorelatime", ATTR_STRICTATIME, ATTR_ATIME),
    ("rnoatime", ATTR_NOATIME, ATTR_ATIME),
    ("ratime", 0, ATTR_ATIME),
    ("rstrictatime", ATTR_STRICTATIME, ATTR_ATIME),
    ("rnostrictatime", 0, ATTR_ATIME),
    ("rnosymfollow", ATTR_NOSYMFOLLOW, 0),
    ("rsymfollow", 0, ATTR_NOSYMFOLLOW),
];

const PROPAGATION: [(&str, Propagate, Tree); 8] = [
    ("private", Propagate::Private, Tree::Top),
    ("rprivate", Propagate::Private, Tree::Whole),
    ("slave", Propagate::Slave, Tree::Top),
    ("rslave", Propagate::Slave, Tree::Whole),
    ("shared", Propagate::Shared, Tree::Top),
    ("rshared", Propagate::Shared, Tree::Whole),
    ("unbindable", Propagate::Unbindable, Tree::Top),
    ("runbindable", Propagate::Unbindable, Tree::Whole),
];

/// The names of all options that rt acts on itself; others are data for the file system.
pub fn names() -> impl Iterator<Item = &'static str> {
    let flags = FLAGS.iter().map(|(name, ..)| *name);
    let recursive = RECURSIVE.iter().map(|(name, ..)| *name);
    let propagation = PROPAGATION.iter().map(|(name, ..)| *name);
    let own = ["bind", "rbind", "defaults", "remount", "tmpcopyup", "copy-symlink", "src-nofollow", "dest-nofollow"];
    flags.chain(recursive).chain(propagation).chain(own)
}

/// The propagation that `rootfsPropagation` or an option names.
pub fn propagation(name: &str) -> Option<(Propagate, Tree)> {
    PROPAGATION.iter().find(|(known, ..)| *known == name).map(|(_, change, tree)| (*change, *tree))
}

/// The options of one mount, sorted by what has to be done about them.
// Each of the flags is an option of its own that goes with every other.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `bind` or `rbind`.
    pub bind: Option<Tree>,
    /// `remount`.
    pub remount: bool,
    /// `tmpcopyup`.
    pub copy_up: bool,
    /// `MS_*` to set.
    pub set: u32,
    /// `MS_*` that were named only to be cleared.
    pub clear: u32,
    /// For the mount and all below it.
    pub recursive_set: u64,
    /// For the mount and all below it.
    pub recursive_clear: u64,
    /// In the order given; the last one that concerns a mount counts.
    pub propagation: Vec<(Propagate, Tree)>,
    copy_symlink: bool,
    source_nofollow: bool,
    target_nofollow: bool,
    /// What the file system is told.
    pub data: String,
}

impl Options {
    /// Sort `options`.
    pub fn parse<'a>(options: impl Iterator<Item = &'a str>) -> Self {
        let mut sorted = Self::default();
        for option in options {
            sorted.take(option);
        }
        sorted
    }

    fn take(&mut self, option: &str) {
        if let Some((_, bit, set)) = FLAGS.iter().find(|(name, ..)| *name == option) {
            if *set {
                self.set |= bit;
                self.clear &= !bit;
            } else {
                self.set &= !bit;
                self.clear |= bit;
            }
        } else if let Some((_, set, clear)) = RECURSIVE.iter().find(|(name, ..)| *name == option) {
            self.recursive_set = self.recursive_set & !clear | set;
            self.recursive_clear = self.recursive_clear & !set | clear;
        } else if let Some(change) = propagation(option) {
            self.propagation.push(change);
        } else {
            match option {
                "bind" => self.bind = self.bind.or(Some(Tree::Top)),
                "rbind" => self.bind = Some(Tree::Whole),
                "remount" => self.remount = true,
                "tmpcopyup" => self.copy_up = true,
                "copy-symlink" => self.copy_symlink = true,
                "src-nofollow" => self.source_nofollow = true,
                "dest-nofollow" => self.target_nofollow = true,
                "" | "defaults" => {}
                data => {
                    if !self.data.is_empty() {
                        self.data.push(',');
                    }
                    self.data.push_str(data);
                }
            }
        }
    }

    /// Which links a bind follows.
    pub fn follow(&self) -> Follow {
        match (self.copy_symlink, self.source_nofollow, self.target_nofollow) {
            (true, ..) => Follow::CopySymlink,
            (_, true, true) => Follow::Neither,
            (_, true, false) => Follow::NotSource,
            (_, false, true) => Follow::NotTarget,
            _ => Follow::Both,
        }
    }

    /// What a bind changes of the mount itself. What is not named stays as the source's mount has it.
    pub fn top(&self) -> Change {
        let (mut set, mut clear) = (0, 0);
        let same = [
            (RDONLY, ATTR_RDONLY),
            (NOSUID, ATTR_NOSUID),
            (NODEV, ATTR_NODEV),
            (NOEXEC, ATTR_NOEXEC),
            (NODIRATIME, ATTR_NODIRATIME),
            (NOSYMFOLLOW, ATTR_NOSYMFOLLOW),
        ];
        for (flag, attribute) in same {
            if self.set & flag != 0 {
                set |= attribute;
            } else if self.clear & flag != 0 {
                clear |= attribute;
            }
        }
        let atime = [(NOATIME, ATTR_NOATIME), (STRICTATIME, ATTR_STRICTATIME), (RELATIME, 0)];
        if let Some((_, attribute)) = atime.iter().find(|(flag, _)| self.set & flag != 0) {
            set |= attribute;
            clear |= ATTR_ATIME;
        } else if self.clear & (NOATIME | STRICTATIME) != 0 {
            clear |= ATTR_ATIME;
        }
        Change { set, clear, propagation: self.propagation_of(Tree::Top) }
    }

    /// What changes of the mount and all below it.
    pub fn whole(&self) -> Change {
        Change { set: self.recursive_set, clear: self.recursive_clear, propagation: self.propagation_of(Tree::Whole) }
    }

    fn propagation_of(&self, tree: Tree) -> Propagate {
        self.propagation.iter().rev().find(|(_, of)| *of == tree).map_or(Propagate::Keep, |(change, _)| *change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &str) -> Options {
        Options::parse(options.split(','))
    }

    #[test]
    fn the_last_of_two_opposites_counts() {
        assert_eq!(parse("ro,rw").set, 0);
        assert_eq!(parse("rw,ro").set, RDONLY);
        assert_eq!(parse("ro,rw").top().clear, ATTR_RDONLY);
        assert_eq!(parse("rro,rrw").whole(), Change { clear: ATTR_RDONLY, ..Change::NONE });
    }

    #[test]
    fn what_is_not_known_is_data() {
        let options = parse("nosuid,mode=755,size=64k,tmpcopyup");
        assert_eq!(options.data, "mode=755,size=64k");
        assert!(options.copy_up);
    }

    #[test]
    fn access_times_are_one_field() {
        assert_eq!(parse("rnoatime,rrelatime").whole(), Change { clear: ATTR_ATIME, ..Change::NONE });
        assert_eq!(parse("bind,noatime").top(), Change { set: ATTR_NOATIME, clear: ATTR_ATIME, ..Change::NONE });
    }

    #[test]
    fn a_bind_without_flags_changes_nothing() {
        assert_eq!(parse("rbind").top(), Change::NONE);
        assert_eq!(parse("rbind").whole(), Change::NONE);
        assert_eq!(parse("rbind,rprivate").whole().propagation, Propagate::Private);
    }
}
