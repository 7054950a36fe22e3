//! Everything that a container's resources come to on this host, hierarchy by hierarchy. Pure.

use crate::devices::{Policy, Program};
use crate::error::Error;
use crate::layout::Layout;
use crate::write::Write;
use crate::{v1, v2};
use rt_plan::spec::resources::Resources;
use std::fmt;

/// What is written before the container is born.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// For the files of v1 hierarchies.
    pub v1: Vec<Write>,
    /// For the files of the v2 hierarchy.
    pub v2: Vec<Write>,
    /// For the v2 hierarchy, where devices are not v1's. `None` also where every device is allowed.
    pub devices: Option<Program>,
}

impl Settings {
    /// Limits and device rules.
    ///
    /// # Errors
    /// [`Error::Config`] for what the config can't mean here; [`Error::NoController`] where nothing could enforce
    /// the device rules; [`Error::NoHierarchy`] where there is no cgroup file system.
    pub fn new(layout: &Layout, resources: &Resources) -> Result<Self, Error> {
        let mut settings = Self::limits(layout, resources)?;
        let policy = Policy::new(&resources.devices);
        if layout.has_v1("devices") {
            settings.v1.extend(policy.v1_writes()?);
        } else if layout.unified().is_some() {
            settings.devices = policy.v2_program();
        } else {
            return Err(Error::NoController {
                field: "linux.resources.devices".into(),
                controller: "devices".into(),
                place: "/proc/self/cgroup".to_owned(),
            });
        }
        Ok(settings)
    }

    /// Limits alone, as an update changes them.
    ///
    /// # Errors
    /// As [`Settings::new`].
    pub fn limits(layout: &Layout, resources: &Resources) -> Result<Self, Error> {
        let (v1, v2) = match layout {
            Layout::None => return Err(Error::NoHierarchy),
            Layout::Unified(_) => (Vec::new(), v2::writes(resources)?),
            Layout::Legacy { unified: None, .. } => (v1::writes(resources)?, Vec::new()),
            Layout::Legacy { unified: Some(_), .. } => {
                // What v2 never had is looked for in v1, so that the error names the controller that is missing.
                let legacy = |name: &str| layout.has_v1(name) || matches!(name, "net_cls" | "net_prio");
                let mut v2 = v2::chosen(resources, &|name| !legacy(if name == "io" { "blkio" } else { name }))?;
                v2.extend(v2::unified(resources)?);
                (v1::chosen(resources, &legacy)?, v2)
            }
        };
        Ok(Self { v1, v2, devices: None })
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self.v1.iter().chain(&self.v2).map(Write::to_string).collect();
        lines.extend(self.devices.as_ref().map(Program::to_string));
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hierarchy;

    fn hierarchy(mount: &str, controllers: &[&str]) -> Hierarchy {
        let controllers = controllers.iter().map(|&name| name.to_owned()).collect();
        Hierarchy { mount: format!("/sys/fs/cgroup/{mount}"), controllers, own: "/".to_owned() }
    }

    fn legacy(controllers: &[&str], unified: bool) -> Layout {
        let v1 = controllers.iter().map(|&name| hierarchy(name, &[name])).collect();
        Layout::Legacy { v1, unified: unified.then(|| hierarchy("unified", &[])) }
    }

    fn resources(json: &str) -> Resources {
        serde_json::from_str(json).expect("valid resources")
    }

    fn files(writes: &[Write]) -> Vec<&str> {
        let files = writes.iter().map(|write| &*write.file);
        files.filter(|file| !file.starts_with("devices.")).collect()
    }

    #[test]
    fn on_a_hybrid_host_v2_takes_only_what_v1_does_not_have() {
        let layout = legacy(&["memory", "pids", "devices"], true);
        let limits = r#"{"memory": {"limit": 5, "swappiness": 1}, "pids": {"limit": 3}, "cpu": {"shares": 1024},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 9}], "unified": {"cgroup.max.depth": "3"}}"#;
        let settings = Settings::new(&layout, &resources(limits)).expect("settings");
        assert_eq!(files(&settings.v1), ["memory.limit_in_bytes", "memory.swappiness", "pids.max"]);
        assert_eq!(files(&settings.v2), ["cpu.weight", "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "cgroup.max.depth"]);
        assert_eq!(settings.devices, None);
    }

    #[test]
    fn device_rules_are_v1_s_where_it_has_them_and_a_program_elsewhere() {
        let v1 = Settings::new(&legacy(&["devices"], true), &Resources::default()).expect("settings");
        assert!(v1.devices.is_none() && v1.v1.len() == 12);
        for layout in [legacy(&["memory"], true), Layout::Unified(hierarchy("", &[]))] {
            let v2 = Settings::new(&layout, &Resources::default()).expect("settings");
            assert!(v2.devices.is_some() && v2.v1.is_empty());
        }
    }

    #[test]
    fn device_rules_that_nothing_can_enforce_are_an_error() {
        let error = Settings::new(&legacy(&["memory"], false), &Resources::default()).expect_err("no devices");
        assert!(error.to_string().contains("the devices controller is not available"), "{error}");
        assert!(matches!(Settings::new(&Layout::None, &Resources::default()), Err(Error::NoHierarchy)));
    }

    #[test]
    fn network_class_is_looked_for_in_v1_on_a_hybrid_host() {
        let layout = legacy(&["devices"], true);
        let settings = Settings::new(&layout, &resources(r#"{"network": {"classID": 7}}"#)).expect("settings");
        assert_eq!(files(&settings.v1), ["net_cls.classid"]);
    }
}
