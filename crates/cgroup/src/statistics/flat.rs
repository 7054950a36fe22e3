//! The formats of the small files that statistics are in. Pure.

use super::{Operations, Pressure, Stalled};

/// A number, or `max`: all ones. Some counters of the kernel can be seen below zero, where they count as zero.
pub(super) fn number(text: &str) -> u64 {
    match text.trim() {
        "max" => u64::MAX,
        digits => digits.parse().unwrap_or(0),
    }
}

/// Lines of a key and a number. What is no such line is left out.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| line.split_once(' ')).map(|(key, value)| (key, number(value)))
}

/// Numbers between spaces.
pub(super) fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().map(number).collect()
}

/// A list as of processors: `0-2,7`. Nobody has more than 65536 of them.
pub(super) fn list(text: &str) -> Vec<u64> {
    let mut list = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            list.extend((first..=last).map(u64::from));
        }
    }
    list
}

/// The lines of a table of v1 by device, `8:0 Read 4096` or `8:0 4096`. The sums that it ends with are about no device.
pub(super) fn operations(text: &str) -> Vec<Operations> {
    let operations = |line: &str| {
        let (device, rest) = line.split_once(' ')?;
        let (major, minor) = device.split_once(':')?;
        let (kind, value) = rest.split_once(' ').unwrap_or(("", rest));
        Some(Operations { major: number(major), minor: number(minor), kind: kind.to_owned(), value: number(value) })
    };
    text.lines().filter_map(operations).collect()
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same with `full`, which older kernels leave out for
/// processors.
pub(super) fn pressure(text: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let Some((who, fields)) = line.split_once(' ') else { continue };
        let stalled = match who {
            "some" => &mut pressure.some,
            "full" => &mut pressure.full,
            _ => continue,
        };
        *stalled = self::stalled(fields);
    }
    pressure
}

fn stalled(fields: &str) -> Stalled {
    let mut stalled = Stalled::default();
    for (key, value) in fields.split(' ').filter_map(|field| field.split_once('=')) {
        match key {
            "avg10" => stalled.average[0] = hundredths(value),
            "avg60" => stalled.average[1] = hundredths(value),
            "avg300" => stalled.average[2] = hundredths(value),
            "total" => stalled.total = number(value),
            _ => {}
        }
    }
    stalled
}

/// The kernel writes two decimals, always.
fn hundredths(text: &str) -> u64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    number(whole).saturating_mul(100).saturating_add(number(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_the_kernel_writes() {
        for (text, expected) in
            [("7\n", 7), ("max\n", u64::MAX), ("-1\n", 0), ("", 0), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(number(text), expected, "{text:?}");
        }
        assert_eq!(numbers("1 22 0 \n"), [1, 22, 0]);
        assert_eq!(pairs("a 1\nb -5\nodd\nc max\n").collect::<Vec<_>>(), [("a", 1), ("b", 0), ("c", u64::MAX)]);
    }

    #[test]
    fn lists_have_ranges() {
        for (text, expected) in [("0\n", &[0][..]), ("0-2,7\n", &[0, 1, 2, 7]), ("\n", &[]), ("3-1", &[])] {
            assert_eq!(list(text), expected, "{text:?}");
        }
    }

    #[test]
    fn tables_are_by_device() {
        let read = |kind: &str, value| Operations { major: 8, minor: 16, kind: kind.to_owned(), value };
        assert_eq!(operations("8:16 Read 5\n8:16 Total 9\nTotal 9\n"), [read("Read", 5), read("Total", 9)]);
        assert_eq!(operations("8:16 77\n"), [read("", 77)]);
        assert_eq!(operations("Total 0\n"), []);
    }

    #[test]
    fn pressure_is_in_hundredths_and_microseconds() {
        let text =
            "some avg10=0.07 avg60=12.30 avg300=100.00 total=4711\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=3\n";
        let expected = Pressure {
            some: Stalled { average: [7, 1230, 10_000], total: 4711 },
            full: Stalled { average: [100, 0, 0], total: 3 },
        };
        assert_eq!(pressure(text), expected);
        assert_eq!(pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"), Pressure::default());
    }
}
