//! For the inside of a container: sends each argument as one datagram to `$NOTIFY_SOCKET`, as a service does that tells
//! systemd how it is.

use std::{env, os::unix::net::UnixDatagram};

fn main() {
    let socket = env::var_os("NOTIFY_SOCKET").expect("NOTIFY_SOCKET is set");
    let sender = UnixDatagram::unbound().expect("a socket can be made");
    for message in env::args().skip(1) {
        sender.send_to(message.as_bytes(), &socket).expect("it can be sent");
    }
}
