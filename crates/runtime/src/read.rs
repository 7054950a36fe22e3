//! Reading a file whole, without a look at its size first: it costs a call, and a pipe has none.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::{Errno, pread, read, retry_on_intr};

/// All that `file` has, in as few reads as fit: the first is for `first` bytes. More than `most` is EFBIG.
pub(crate) fn read_all(file: impl AsFd, first: usize, most: usize) -> Result<Vec<u8>, Errno> {
    let file = file.as_fd();
    let mut bytes = vec![0; first];
    let mut len = 0;
    loop {
        let room = bytes.get_mut(len..).unwrap_or_default();
        let asked = room.len();
        let (more, at_end) = match retry_on_intr(|| pread(file, &mut *room, len as u64)) {
            // A file that has positions and gave less than was asked for has no more.
            Ok(more) => (more, more < asked),
            // A pipe gives what is in it, and more later.
            Err(Errno::SPIPE) => stream(file, room)?,
            Err(errno) => return Err(errno),
        };
        len += more;
        if len > most {
            return Err(Errno::FBIG);
        }
        if at_end {
            break;
        }
        if len == bytes.len() {
            bytes.resize(len * 2, 0);
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// What comes next, and whether that was the end.
fn stream(file: BorrowedFd<'_>, room: &mut [u8]) -> Result<(usize, bool), Errno> {
    let more = retry_on_intr(|| read(file, &mut *room))?;
    Ok((more, more == 0))
}

#[cfg(test)]
mod tests {
    use super::read_all;
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::io::{Errno, write};
    use rustix::pipe::pipe;

    #[test]
    fn files_of_any_length_are_read_up_to_the_limit() {
        for len in [0, 1, 7, 8, 9, 16, 100, 101] {
            let content = vec![7; len];
            let file = memfd_create(c"test", MemfdFlags::CLOEXEC).expect("memory");
            write(&file, &content).expect("room");
            let expected = if len > 100 { Err(Errno::FBIG) } else { Ok(content) };
            assert_eq!(read_all(&file, 8, 100), expected, "{len}");
        }
    }

    #[test]
    fn a_pipe_is_read_until_nobody_writes_any_more() {
        let (reader, writer) = pipe().expect("a pipe");
        let thread = std::thread::spawn(move || {
            for part in [&b"abc"[..], b"defgh", b"i"] {
                write(&writer, part).expect("somebody reads");
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        assert_eq!(read_all(&reader, 8, 100).as_deref(), Ok(&b"abcdefghi"[..]));
        thread.join().expect("it has written");
    }
}
