//! What files said before they were written to, so that they can be made to say it again.

use crate::files::{read, write};
use crate::place::parent;
use rustix::fs::CWD;

/// Files and what they said, in the order in which they were written to.
#[derive(Debug, Default)]
pub(crate) struct Undo(Vec<(String, String)>);

impl Undo {
    /// Before `value` is written to the file at `path`. What can't be read can't be put back.
    pub(crate) fn note(&mut self, path: String, value: &str) {
        if let Some(back) = read(CWD, &path).ok().and_then(|text| inverse(&path, value, &text)) {
            self.0.push((path, back));
        }
    }

    /// Put it all back, the last first. The kernel may refuse a value while another is not back yet: those again.
    /// The path of a file that does not take its old value.
    pub(crate) fn run(self) -> Result<(), String> {
        let mut left = self.0;
        left.reverse();
        let mut before = usize::MAX;
        while !left.is_empty() && left.len() < before {
            before = left.len();
            left.retain(|(path, back)| write(CWD, path, back).is_err());
        }
        match left.pop() {
            None => Ok(()),
            Some((path, _)) => Err(path),
        }
    }
}

/// What to write to a file that says `text` now, to take back a write of `value`.
fn inverse(path: &str, value: &str, text: &str) -> Option<String> {
    let file = path.strip_prefix(parent(path))?.strip_prefix('/')?;
    // Files with a line for each device or interface, that is: each key.
    let by_key = file == "rdma.max" || file == "net_prio.ifpriomap";
    if let Some((key, _)) = value.split_once(' ').filter(|(key, _)| by_key || key.contains(':')) {
        let line = text.lines().find(|line| line.split(' ').next() == Some(key));
        return Some(match (line, file) {
            (Some(line), _) => line.to_owned(),
            (None, "io.max") => format!("{key} rbps=max wbps=max riops=max wiops=max"),
            (None, "io.weight" | "io.bfq.weight") => format!("{key} default"),
            (None, _) => format!("{key} 0"),
        });
    }
    let first = text.lines().next().unwrap_or_default();
    Some(match file {
        // It shows `oom_kill_disable 0` and more.
        "memory.oom_control" => first.rsplit(' ').next().unwrap_or_default().to_owned(),
        // Nothing at all is no write to the kernel: an empty line is.
        _ if first.is_empty() => "\n".to_owned(),
        _ => first.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_taken_back() {
        for (file, value, text, back) in [
            ("memory.max", "100", "max\n", "max"),
            ("cpu.max", "5000 100000", "max 200000\n", "max 200000"),
            ("cpuset.cpus", "0", "\n", "\n"),
            ("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", "0"),
            ("io.weight", "50", "default 100\n8:0 7\n", "default 100"),
            ("io.weight", "8:0 50", "default 100\n8:0 7\n", "8:0 7"),
            ("io.weight", "8:16 50", "default 100\n8:0 7\n", "8:16 default"),
            (
                "io.max",
                "8:0 rbps=5",
                "8:0 rbps=max wbps=7 riops=max wiops=max\n",
                "8:0 rbps=max wbps=7 riops=max wiops=max",
            ),
            ("io.max", "8:16 rbps=5", "", "8:16 rbps=max wbps=max riops=max wiops=max"),
            ("blkio.throttle.read_bps_device", "8:0 5", "8:0 9\n", "8:0 9"),
            ("blkio.throttle.read_bps_device", "8:0 5", "", "8:0 0"),
            (
                "rdma.max",
                "mlx5_0 hca_handle=3",
                "mlx5_0 hca_handle=max hca_object=9\n",
                "mlx5_0 hca_handle=max hca_object=9",
            ),
            ("net_prio.ifpriomap", "eth0 5", "lo 0\neth0 7\n", "eth0 7"),
        ] {
            let path = format!("/sys/fs/cgroup/x.y/{file}");
            assert_eq!(inverse(&path, value, text).as_deref(), Some(back), "{file} {value}");
        }
    }
}
