//! Reading a file whole, without a look at its size first: it costs two calls, and a pipe has none.

use std::io::{Error, ErrorKind, Read, Result};

/// All that `file` has, in as few reads as fit: the first is for `first` bytes. More than `most` is an error.
pub(crate) fn read_all(file: &mut impl Read, first: usize, most: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; first];
    let mut len = 0;
    loop {
        match file.read(bytes.get_mut(len..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if len > most {
            return Err(Error::from_raw_os_error(rustix::io::Errno::FBIG.raw_os_error()));
        }
        if len == bytes.len() {
            bytes.resize(len * 2, 0);
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::read_all;

    #[test]
    fn files_of_any_length_are_read_up_to_the_limit() {
        for len in [0, 1, 7, 8, 9, 100] {
            let file = vec![7; len];
            assert_eq!(read_all(&mut &file[..], 8, 100).expect("readable"), file);
        }
        assert!(read_all(&mut &vec![7; 101][..], 8, 100).is_err());
    }
}
