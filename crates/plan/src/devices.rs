//! Device nodes: the ones that every container has (config-linux.md, "Default Devices"), and the config's.

use crate::Error;
use crate::error::invalid;
use crate::spec::Spec;
use rt_wire::{Device, DeviceKind};

/// Path, major, minor.
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The config's devices, then those default ones that it does not name.
pub(crate) fn all<'a>(spec: &'a Spec<'_>) -> Result<Vec<(&'a str, Device)>, Error> {
    let mut devices = Vec::with_capacity(DEFAULT.len() + spec.linux.devices.len());
    for (index, device) in spec.linux.devices.iter().enumerate() {
        let field = |name: &str| format!("linux.devices[{index}].{name}");
        let kind = match &*device.kind {
            "c" | "u" => DeviceKind::Character,
            "b" => DeviceKind::Block,
            "p" => DeviceKind::Fifo,
            other => return Err(invalid(field("type"), format!("\"{other}\" is none of c, b, u and p"))),
        };
        if !device.path.starts_with('/') {
            return Err(invalid(field("path"), format!("\"{}\" is not an absolute path", device.path)));
        }
        let number = |name: &str, number: i64| {
            u32::try_from(number).map_err(|_| invalid(field(name), format!("{number} is no device number")))
        };
        let (major, minor) = match kind {
            DeviceKind::Fifo => (0, 0),
            _ => (number("major", device.major)?, number("minor", device.minor)?),
        };
        let mode = device.file_mode.unwrap_or(0o666) & 0o7777;
        let (uid, gid) = (device.uid.unwrap_or(0), device.gid.unwrap_or(0));
        devices.push((&*device.path, Device { kind, major, minor, mode, uid, gid }));
    }
    for (path, major, minor) in DEFAULT {
        if !devices.iter().any(|(known, _)| *known == path) {
            let device = Device { kind: DeviceKind::Character, major, minor, mode: 0o666, uid: 0, gid: 0 };
            devices.push((path, device));
        }
    }
    Ok(devices)
}
