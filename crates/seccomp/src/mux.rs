//! Calls that some architectures also, or only, have as one of many behind a single number.

use crate::arch::Arch;
use crate::table::Call;

/// A call as socketcall(2) or ipc(2) makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    /// `socketcall` or `ipc`.
    pub(crate) name: &'static str,
    /// Its first argument: which call is meant.
    pub(crate) selector: u32,
}

impl Behind {
    /// Where `name` is found, on the architectures that have these calls.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let (socket, selector) = match name {
            // SYS_* of linux/net.h.
            "socket" => (true, 1),
            "bind" => (true, 2),
            "connect" => (true, 3),
            "listen" => (true, 4),
            "accept" => (true, 5),
            "getsockname" => (true, 6),
            "getpeername" => (true, 7),
            "socketpair" => (true, 8),
            "send" => (true, 9),
            "recv" => (true, 10),
            "sendto" => (true, 11),
            "recvfrom" => (true, 12),
            "shutdown" => (true, 13),
            "setsockopt" => (true, 14),
            "getsockopt" => (true, 15),
            "sendmsg" => (true, 16),
            "recvmsg" => (true, 17),
            "accept4" => (true, 18),
            "recvmmsg" => (true, 19),
            "sendmmsg" => (true, 20),
            // linux/ipc.h.
            "semop" => (false, 1),
            "semget" => (false, 2),
            "semctl" => (false, 3),
            "semtimedop" => (false, 4),
            "msgsnd" => (false, 11),
            "msgrcv" => (false, 12),
            "msgget" => (false, 13),
            "msgctl" => (false, 14),
            "shmat" => (false, 21),
            "shmdt" => (false, 22),
            "shmget" => (false, 23),
            "shmctl" => (false, 24),
            _ => return None,
        };
        Some(Self { name: if socket { "socketcall" } else { "ipc" }, selector })
    }

    /// The number of `socketcall` or `ipc`.
    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        Call::named(self.name)?.number(arch)
    }
}
