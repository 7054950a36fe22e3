//! Where a bus is. <https://dbus.freedesktop.org/doc/dbus-specification.html>, "Server Addresses", of which those are
//! left that are on this machine.

use super::unit::Whose;
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;

/// A socket to try.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Address {
    /// As it is named in an error.
    pub(super) name: String,
    /// The socket's name, or why it can't be one.
    pub(super) socket: Result<SocketAddrUnix, Errno>,
    /// systemd itself, where it is also without a bus: there is no bus to greet.
    pub(super) direct: bool,
}

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    pub(super) system: Option<String>,
    pub(super) session: Option<String>,
    pub(super) runtime: Option<String>,
    pub(super) uid: u32,
}

impl Surroundings {
    pub(super) fn now(uid: u32) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            system: variable("DBUS_SYSTEM_BUS_ADDRESS"),
            session: variable("DBUS_SESSION_BUS_ADDRESS"),
            runtime: variable("XDG_RUNTIME_DIR"),
            uid,
        }
    }

    /// The sockets to try, in order. A bus first: what lies beside it is systemd's own, for when there is none.
    pub(super) fn addresses(&self, whose: Whose) -> Vec<Address> {
        let runtime = self.runtime.clone().unwrap_or_else(|| format!("/run/user/{}", self.uid));
        let (given, usual, private) = match whose {
            Whose::System => {
                (&self.system, "/run/dbus/system_bus_socket".to_owned(), "/run/systemd/private".to_owned())
            }
            Whose::User => (&self.session, format!("{runtime}/bus"), format!("{runtime}/systemd/private")),
        };
        match given {
            Some(given) => given.split(';').filter(|one| !one.is_empty()).map(|one| parse(one, &runtime)).collect(),
            None => vec![path(usual, false), path(private, true)],
        }
    }
}

fn path(path: String, direct: bool) -> Address {
    Address { socket: SocketAddrUnix::new(path.as_str()), name: path, direct }
}

fn parse(text: &str, runtime: &str) -> Address {
    let unusable = Address { name: text.to_owned(), socket: Err(Errno::PROTONOSUPPORT), direct: false };
    let Some(pairs) = text.strip_prefix("unix:") else { return unusable };
    for (key, value) in pairs.split(',').filter_map(|pair| pair.split_once('=')) {
        let Some(value) = unescape(value) else { return unusable };
        let socket = match key {
            "path" => SocketAddrUnix::new(value.as_slice()),
            "abstract" => SocketAddrUnix::new_abstract_name(&value),
            "runtime" if value == b"yes" => return path(format!("{runtime}/bus"), false),
            _ => continue,
        };
        return Address { name: String::from_utf8_lossy(&value).into_owned(), socket, direct: false };
    }
    unusable
}

/// `%20` is a space.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(after.get(..2)?, 16).ok()?);
        rest = after.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(surroundings: &Surroundings, whose: Whose) -> Vec<String> {
        let name = |address: Address| match address.socket {
            Ok(_) => address.name,
            Err(_) => format!("{}: no", address.name),
        };
        surroundings.addresses(whose).into_iter().map(name).collect()
    }

    #[test]
    fn the_bus_comes_before_what_is_systemd_s_own() {
        let plain = Surroundings { uid: 7, ..Surroundings::default() };
        assert_eq!(names(&plain, Whose::System), ["/run/dbus/system_bus_socket", "/run/systemd/private"]);
        assert_eq!(names(&plain, Whose::User), ["/run/user/7/bus", "/run/user/7/systemd/private"]);
        let runtime = Surroundings { runtime: Some("/r".to_owned()), ..plain };
        assert_eq!(names(&runtime, Whose::User), ["/r/bus", "/r/systemd/private"]);
        assert_eq!(runtime.addresses(Whose::User).iter().map(|one| one.direct).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn an_address_that_is_given_is_the_only_one() {
        let given = "unix:path=/a%20b/bus,guid=12;;unix:abstract=/tmp/x;tcp:host=localhost;unix:runtime=yes;unix:dir=/x;unix:path=%zz";
        let surroundings =
            Surroundings { session: Some(given.to_owned()), runtime: Some("/r".to_owned()), ..Surroundings::default() };
        let expected =
            ["/a b/bus", "/tmp/x", "tcp:host=localhost: no", "/r/bus", "unix:dir=/x: no", "unix:path=%zz: no"];
        assert_eq!(names(&surroundings, Whose::User), expected);
        let long = Surroundings { system: Some(format!("unix:path=/{}", "x".repeat(200))), ..surroundings };
        assert!(long.addresses(Whose::System)[0].socket.is_err());
    }
}
