//! Changing what a container may use while it runs: all of it, or nothing.

use crate::apply::{apply, check_v1, write_v2};
use crate::devices::{Policy, Program};
use crate::error::Error;
use crate::existing::Existing;
use crate::files::{Dir, is_gone, open, read};
use crate::layout::Layout;
use crate::settings::Settings;
use crate::systemd::{Systemd, Unit, properties};
use crate::undo::Undo;
use rt_plan::spec::resources::Resources;
use rt_sys::bpf;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// What a container was asked to keep to and the kernel does not tell as it was asked: later updates count from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// `memory.limit`, in bytes; 0 is none.
    memory: i64,
    /// `memory.swap`, which counts memory as well; 0 is none.
    swap: i64,
    /// A hash of the device rules.
    devices: u64,
}

impl Asked {
    /// As the config asks.
    pub fn new(resources: &Resources) -> Self {
        let memory = resources.memory.as_ref();
        Self {
            memory: memory.and_then(|memory| memory.limit()).unwrap_or(0),
            swap: memory.and_then(|memory| memory.swap()).unwrap_or(0),
            devices: hash(&Policy::new(&resources.devices)),
        }
    }

    /// As it is after an update. What the update leaves out of memory and swap is filled in, because on v2 each is
    /// computed with the other; unlimited memory without a word about swap means both.
    fn merge(self, resources: &mut Resources) -> Self {
        let mut now = self;
        if let Some(memory) = resources.memory.as_mut().filter(|it| it.limit().is_some() || it.swap().is_some()) {
            now.memory = memory.limit().unwrap_or(self.memory);
            now.swap = memory.swap().unwrap_or(if memory.limit() == Some(-1) { 0 } else { self.swap });
            memory.set_limit(Some(now.memory)).set_swap(Some(now.swap));
        }
        if !resources.devices.is_empty() {
            now.devices = hash(&Policy::new(&resources.devices));
        }
        now
    }
}

/// FNV-1a of the rules in print, so the same in every build.
fn hash(policy: &Policy) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    policy.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

impl Existing {
    /// Change limits, and the device rules if there are any among the resources and they are not those of before (a
    /// plugin may have added to them). Returns what later updates count from.
    ///
    /// # Errors
    /// As [`crate::Cgroup::create`], and [`Error::InUse`] for a memory limit that is below what is used: v1 always
    /// refuses that, v2 would kill, and does unless `memory.checkBeforeUpdate` is set. All is as before then, or
    /// [`Error::Half`].
    pub fn update(
        &self,
        layout: &Layout,
        resources: &Resources,
        asked: Asked,
        unit: Option<&Unit>,
    ) -> Result<Asked, Error> {
        if self.place().paths().is_empty() {
            return Err(Error::NoCgroup);
        }
        let mut resources = resources.clone();
        let now = asked.merge(&mut resources);
        self.complete(&mut resources);
        let mut settings = Settings::limits(layout, &resources)?;
        if unit.is_some() {
            properties::round(&mut settings.v2);
        }
        let policy = Policy::new(&resources.devices);
        self.check(&resources)?;
        check_v1(layout, &settings.v1)?;

        // Before anything is changed that it would have to be told of.
        let mut systemd = unit.map(Systemd::connect).transpose()?;
        let mut undo = Undo::default();
        let other = Some(&policy).filter(|_| now.devices != asked.devices);
        let changed = self.write(layout, &settings, &mut undo);
        let changed = changed.and_then(|()| other.map_or(Ok(()), |policy| self.guard(layout, policy)));
        let changed = changed.and_then(|()| match &mut systemd {
            Some(systemd) => systemd.update(&settings.v2, other),
            None => Ok(()),
        });
        match changed {
            Ok(()) => Ok(now),
            Err(error) => Err(match undo.run() {
                Ok(()) => error,
                Err(file) => Error::Half { error: Box::new(error), file },
            }),
        }
    }

    /// v2 has quota and period in one file: the one that is not mentioned stays.
    fn complete(&self, resources: &mut Resources) {
        let (Some(cpu), None, Some(dir)) = (&mut resources.cpu, self.place().dir("cpu"), self.place().dir("")) else {
            return;
        };
        let given = |quota: Option<i64>| quota.is_some_and(|quota| quota != 0);
        let (quota, period) = (given(cpu.quota()), cpu.period().is_some_and(|period| period != 0));
        if quota == period {
            return;
        }
        let text = read(CWD, &format!("{dir}/cpu.max")).unwrap_or_default();
        let Some((now_quota, now_period)) = text.trim().split_once(' ') else { return };
        if quota {
            cpu.set_period(now_period.parse().ok());
        } else {
            cpu.set_quota(now_quota.parse().ok());
        }
    }

    /// What `checkBeforeUpdate` asks for.
    fn check(&self, resources: &Resources) -> Result<(), Error> {
        let Some(memory) = resources.memory.as_ref().filter(|memory| memory.check_before_update() == Some(true)) else {
            return Ok(());
        };
        let positive = |limit: Option<i64>| limit.filter(|limit| *limit > 0);
        self.check_usage("memory+swap", positive(memory.swap()), "", "memory.current")?;
        self.check_usage("memory", positive(memory.limit()), "", "memory.current")
    }

    /// Refuse a limit in bytes that what is used, as `file` says, would reach.
    fn check_usage(&self, what: &'static str, limit: Option<i64>, controller: &str, file: &str) -> Result<(), Error> {
        let (Some(limit), Some(dir)) = (limit, self.place().dir(controller)) else { return Ok(()) };
        let usage = read(CWD, &format!("{dir}/{file}")).ok().and_then(|text| text.trim().parse().ok());
        match usage {
            Some(usage) if limit.cast_unsigned() <= usage => Err(Error::InUse { what, limit, usage }),
            _ => Ok(()),
        }
    }

    fn write(&self, layout: &Layout, settings: &Settings, undo: &mut Undo) -> Result<(), Error> {
        match self.write_v1(layout, settings, undo) {
            Err(Error::Refused { errno: Errno::BUSY, file, field, value }) => {
                let limit = value.parse().ok().filter(|_| file.ends_with("memory.limit_in_bytes"));
                self.check_usage("memory", limit, "memory", "memory.usage_in_bytes")?;
                return Err(Error::Refused { errno: Errno::BUSY, file, field, value });
            }
            other => other?,
        }
        match (layout.unified(), self.place().dir("")) {
            (Some(hierarchy), Some(path)) if !settings.v2.is_empty() => {
                write_v2(hierarchy, &Dir::open(path)?, &settings.v2, Some(undo))
            }
            _ => Ok(()),
        }
    }

    fn write_v1(&self, layout: &Layout, settings: &Settings, undo: &mut Undo) -> Result<(), Error> {
        let Layout::Legacy { v1, .. } = layout else { return Ok(()) };
        for hierarchy in v1 {
            let mut own = settings.v1.iter().filter(|write| hierarchy.has(&write.controller)).peekable();
            let Some(first) = own.peek() else { continue };
            let Some(path) = self.place().dir(&first.controller) else {
                return Err(Error::NoController {
                    field: first.field.clone(),
                    controller: first.controller.clone(),
                    place: "the container is in no cgroup of it".to_owned(),
                });
            };
            apply(&Dir::open(path)?, &mut own, &mut |_| Ok(()), Some(undo))?;
        }
        Ok(())
    }

    /// Replace the device rules, at no moment by less than either.
    fn guard(&self, layout: &Layout, policy: &Policy) -> Result<(), Error> {
        if layout.has_v1("devices") {
            return match self.place().dir("devices") {
                Some(dir) => self.standing_still(|| guard_v1(&Dir::open(dir)?, policy)),
                None => Err(Error::NoCgroup),
            };
        }
        let Some(dir) = self.place().dir("") else { return Err(Error::NoCgroup) };
        guard_v2(&Dir::open(dir)?, policy.v2_program().as_ref())
    }
}

/// The list of v1 changes line by line: the container stands still meanwhile.
fn guard_v1(dir: &Dir, policy: &Policy) -> Result<(), Error> {
    let read =
        || read(dir.fd.as_fd(), "devices.list").map_err(|errno| Error::file("read", dir.file("devices.list"), errno));
    let before = read()?;
    let wanted = policy.v1_writes()?;
    let wanted: Vec<(&str, &str)> = wanted.iter().map(|write| (&*write.file, &*write.value)).collect();
    let result = write_list(dir, &before, &wanted);
    if result.is_err() && !before.starts_with(ALL) {
        let back: Vec<(&str, &str)> =
            std::iter::once((DENY, ALL)).chain(before.lines().map(|line| (ALLOW, line))).collect();
        let _ = write_list(dir, &read()?, &back);
    }
    result
}

const ALL: &str = "a *:* rwm";
const ALLOW: &str = "devices.allow";
const DENY: &str = "devices.deny";

/// From the list `before` to `wanted`, whose first line is about everything. From a list of what is allowed to another
/// only what differs is written, because the kernel takes a line about everything only where no cgroup is below.
fn write_list(dir: &Dir, before: &str, wanted: &[(&str, &str)]) -> Result<(), Error> {
    let lists = !before.starts_with(ALL) && wanted.first() == Some(&(DENY, ALL));
    let gone = before.lines().filter(|line| lists && !wanted.contains(&(ALLOW, line))).map(|line| (DENY, line));
    let new =
        wanted.iter().copied().filter(|(_, line)| !lists || *line != ALL && !before.lines().any(|old| old == *line));
    for (file, line) in gone.chain(new) {
        let written =
            open(dir.fd.as_fd(), file, OFlags::WRONLY).and_then(|file| rustix::io::write(file, line.as_bytes()));
        written.map_err(|errno| Error::Refused {
            field: "linux.resources.devices".into(),
            file: dir.file(file),
            value: line.to_owned(),
            errno,
        })?;
    }
    Ok(())
}

/// The new program takes the place of the old one in one call. Any others go: rules are replaced, not added.
fn guard_v2(dir: &Dir, program: Option<&Program>) -> Result<(), Error> {
    let failed = |doing| move |errno| Error::Devices { doing, dir: dir.path.clone(), errno };
    let old = attached(dir).map_err(failed("find the device program"))?;
    let replaced = match program {
        None => 0,
        Some(program) => {
            let loaded = crate::create::load(dir, program)?;
            match old.first() {
                Some(old) => bpf::replace_device_program(dir.fd.as_fd(), loaded.as_fd(), old.as_fd()),
                None => bpf::attach_device_program(dir.fd.as_fd(), loaded.as_fd()),
            }
            .map_err(failed("replace the device program"))?;
            1
        }
    };
    for other in old.iter().skip(replaced) {
        bpf::detach_device_program(dir.fd.as_fd(), other.as_fd()).map_err(failed("detach a device program"))?;
    }
    Ok(())
}

/// The programs of the cgroup itself, not those of the ones above it.
fn attached(dir: &Dir) -> Result<Vec<OwnedFd>, Errno> {
    let mut ids = [0; 64];
    let count = bpf::device_programs(dir.fd.as_fd(), &mut ids)?;
    ids.iter()
        .take(count)
        .map(|id| bpf::program_by_id(*id))
        .filter(|opened| !opened.as_ref().is_err_and(|errno| is_gone(*errno)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(json: &str) -> Resources {
        serde_json::from_str(json).expect("valid resources")
    }

    #[test]
    fn memory_and_swap_are_what_was_asked_last() {
        let mut asked = Asked::new(&resources(r#"{"memory": {"limit": 100, "swap": 150}}"#));
        for (update, limit, swap) in [
            (r#"{"memory": {"limit": 120}}"#, 120, 150),
            (r#"{"memory": {"swap": 300}}"#, 120, 300),
            (r#"{"memory": {"reservation": 7}}"#, 120, 300),
            (r#"{"pids": {"limit": 7}}"#, 120, 300),
            (r#"{"memory": {"limit": -1}}"#, -1, 0),
            (r#"{"memory": {"limit": 5, "swap": -1}}"#, 5, -1),
            (r#"{"memory": {"limit": 6}}"#, 6, -1),
        ] {
            let mut update = resources(update);
            let said = update.memory.as_ref().is_some_and(|it| it.limit().is_some() || it.swap().is_some());
            asked = asked.merge(&mut update);
            assert_eq!((asked.memory, asked.swap), (limit, swap), "{update:?}");
            let memory = update.memory.unwrap_or_default();
            let expected = if said { (Some(limit), Some(swap)) } else { (None, None) };
            assert_eq!((memory.limit(), memory.swap()), expected);
        }
    }

    #[test]
    fn device_rules_are_new_when_they_mean_something_else() {
        let config = r#"{"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]}"#;
        let asked = Asked::new(&resources(config));
        let merged = |json: &str| asked.merge(&mut resources(json)).devices;
        assert_eq!(merged("{}"), asked.devices);
        assert_eq!(merged(config), asked.devices);
        assert_eq!(
            merged(&config.replace(
                r#""major": 10, "minor": 229, "access": "rw""#,
                r#""minor": 229, "major": 10, "access": "wr""#
            )),
            asked.devices
        );
        assert_ne!(merged(&config.replace("229", "228")), asked.devices);
        // As every build has to write it.
        assert_eq!(Asked::new(&Resources::default()).devices, 15_846_491_377_868_849_248);
    }
}
