//! Hosts to plan for.

use rt_plan::Host;
use rt_plan::host::{Cgroups, Hierarchy};

const ALL_CAPABILITIES: u64 = (1 << 41) - 1;
const MKNOD: u64 = 1 << 27;

/// Root with every right, on cgroup v2: today's usual machine.
pub(crate) fn root_on_v2() -> Host {
    Host {
        permitted: ALL_CAPABILITIES,
        bounding: ALL_CAPABILITIES,
        kcore: true,
        cgroups: Cgroups::Unified { mount: "/sys/fs/cgroup".into() },
        ..Host::default()
    }
}

/// Root on cgroup v1: two controllers that share a hierarchy, one with a hierarchy to itself, one without any that is only
/// looked at.
pub(crate) fn root_on_v1() -> Host {
    let hierarchy = |controllers: &[&str], name: &str, directory: &str, joined| Hierarchy {
        controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
        name: name.into(),
        directory: directory.into(),
        joined,
    };
    let hierarchies = vec![
        hierarchy(&["cpu", "cpuacct"], "cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/web", true),
        hierarchy(&["memory"], "memory", "/sys/fs/cgroup/memory/web", true),
        hierarchy(&["name=systemd"], "systemd", "/sys/fs/cgroup/systemd", false),
    ];
    Host { cgroups: Cgroups::Legacy { hierarchies }, ..root_on_v2() }
}

/// Nobody said where a cgroup could be.
pub(crate) fn without_cgroups() -> Host {
    Host { cgroups: Cgroups::None, ..root_on_v2() }
}

/// Root in a container, which may not make device nodes.
pub(crate) fn without_mknod() -> Host {
    let rest = ALL_CAPABILITIES & !MKNOD;
    Host { permitted: rest, bounding: rest, ..root_on_v2() }
}

/// With AppArmor.
pub(crate) fn with_apparmor() -> Host {
    Host { apparmor: true, ..root_on_v2() }
}

/// With SELinux.
pub(crate) fn with_selinux() -> Host {
    Host { selinux: true, ..root_on_v2() }
}

/// What --no-pivot has to cover.
pub(crate) fn with_kernel_mounts() -> Host {
    let mounts = ["/run/bundle/rootfs/old/proc", "/srv/chroot/proc", "/proc", "/sys"];
    Host { kernel_mounts: mounts.map(str::to_owned).into(), ..root_on_v2() }
}
