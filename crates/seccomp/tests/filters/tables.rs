//! The table of system calls against the kernel's headers, and how it is made from them.
//!
//! Debian's linux-libc-dev has the headers of all architectures. To take over a newer kernel's:
//!
//! ```text
//! apt-get download linux-libc-dev && dpkg-deb --extract linux-libc-dev_*.deb headers
//! UPDATE_TABLES=headers:older cargo test -p rt-seccomp tables
//! ```
//!
//! `older` is optional: where the first one lacks an architecture, it is looked for there. Linux 7 has no 31-bit s390 any
//! more; the last of Debian's that has is 6.12.

use rt_seccomp::Arch;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The columns of the table: the architecture, the kernel's name for it, and the header with its numbers.
const COLUMNS: [(Arch, &str, &str); 18] = [
    (Arch::X86, "x86", "unistd_32.h"),
    (Arch::X86_64, "x86", "unistd_64.h"),
    (Arch::X32, "x86", "unistd_x32.h"),
    (Arch::Arm, "arm", "unistd-eabi.h"),
    (Arch::Aarch64, "arm64", "unistd_64.h"),
    (Arch::Mips, "mips", "unistd_o32.h"),
    (Arch::Mips64, "mips", "unistd_n64.h"),
    (Arch::Mips64N32, "mips", "unistd_n32.h"),
    (Arch::Ppc, "powerpc", "unistd_32.h"),
    (Arch::Ppc64, "powerpc", "unistd_64.h"),
    (Arch::S390, "s390", "unistd_32.h"),
    (Arch::S390x, "s390", "unistd_64.h"),
    (Arch::Parisc, "parisc", "unistd_32.h"),
    (Arch::Parisc64, "parisc", "unistd_64.h"),
    (Arch::Riscv64, "riscv", "unistd_64.h"),
    (Arch::Loongarch64, "loongarch", "unistd_64.h"),
    (Arch::M68k, "m68k", "unistd_32.h"),
    (Arch::Sh, "sh", "unistd_32.h"),
];

const ROWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/table/rows.rs");

#[test]
fn the_table_is_made_from_the_headers_of_every_architecture() {
    let Ok(sources) = std::env::var("UPDATE_TABLES") else {
        // Without headers there is still a table to look at: sorted, and no number twice on one architecture.
        let names: Vec<_> = rt_seccomp::names().collect();
        assert!(names.is_sorted() && names.len() > 500);
        for (arch, ..) in COLUMNS {
            let numbers: Vec<_> = names.iter().filter_map(|name| rt_seccomp::number(arch, name)).collect();
            let distinct: BTreeSet<_> = numbers.iter().collect();
            // sync_file_range2 is another name for arm_sync_file_range.
            assert_eq!(distinct.len() + usize::from(arch == Arch::Arm), numbers.len(), "{arch}");
        }
        return;
    };
    let columns: Vec<_> = COLUMNS.iter().map(|(arch, ..)| read(*arch, &sources)).collect();
    fs::write(ROWS, rows(&columns)).expect("rows.rs is written");
}

/// The numbers of one architecture. 31-bit s390 has those of s390x where its own header ends: since 5.1 both have had
/// the same.
fn read(arch: Arch, sources: &str) -> BTreeMap<String, u32> {
    let (_, directory, header) = COLUMNS.iter().find(|(column, ..)| *column == arch).expect("a column");
    let mut numbers = sources
        .split(':')
        .map(|source| Path::new(source).join("usr/lib/linux/uapi").join(directory).join("asm"))
        .find_map(|asm| {
            let mut text = fs::read_to_string(asm.join(header)).ok()?;
            if arch == Arch::Arm {
                text += &fs::read_to_string(asm.join("unistd.h")).ok()?;
            }
            Some(parse(&text))
        })
        .unwrap_or_else(|| panic!("{sources}: none has {directory}'s {header}"));
    if arch == Arch::S390 {
        let last = numbers.values().copied().max().unwrap_or_default();
        numbers.extend(read(Arch::S390x, sources).into_iter().filter(|(_, number)| *number > last));
    }
    numbers
}

/// `#define __NR_name number` in all the ways that the headers write it: from 0, or from the architecture's first.
fn parse(header: &str) -> BTreeMap<String, u32> {
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    for line in header.lines() {
        let mut words = line.split_whitespace();
        let (Some("#define"), Some(name)) = (words.next(), words.next()) else { continue };
        let private = name.strip_prefix("__ARM_NR_");
        let Some(name) = name.strip_prefix("__NR_").or(private) else { continue };
        let value: String = words.collect();
        let (base, offset) = match value.trim_matches(['(', ')']).split_once('+') {
            Some(("__NR_Linux", offset)) => (base_of_mips(header), offset.to_owned()),
            Some(("__X32_SYSCALL_BIT", offset)) => (1 << 30, offset.to_owned()),
            Some(("__ARM_NR_BASE", offset)) => (0xf_0000, offset.to_owned()),
            // EABI's is 0.
            Some(("__NR_SYSCALL_BASE", offset)) if private.is_none() => (0, offset.to_owned()),
            Some(_) => continue,
            None => (0, value),
        };
        if no_call(name) {
            continue;
        }
        if let Some(same) = offset.strip_prefix("__NR_") {
            let number = *numbers.get(same).expect("a name that was there before");
            numbers.insert(name.to_owned(), number);
        } else if let Ok(offset) = offset.parse::<u32>() {
            numbers.insert(name.to_owned(), base + offset);
        }
    }
    numbers
}

/// Numbers that are kept free, and what is not a call's number: how many there are, where they start.
fn no_call(name: &str) -> bool {
    let number = name.strip_prefix("unused").or_else(|| name.strip_prefix("reserved"));
    name == "syscalls"
        || name.starts_with(|first: char| first.is_ascii_uppercase())
        || number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// asm/unistd.h of MIPS gives each ABI a thousand of its own; the headers with the numbers don't say which.
fn base_of_mips(header: &str) -> u32 {
    if header.contains("_UNISTD_O32_H") {
        4000
    } else if header.contains("_UNISTD_N64_H") {
        5000
    } else {
        6000
    }
}

fn rows(columns: &[BTreeMap<String, u32>]) -> String {
    let names: BTreeSet<&String> = columns.iter().flat_map(BTreeMap::keys).collect();
    let mut text = String::from(
        "//! Made by tests/filters/tables.rs from the headers of linux-libc-dev: the name of each system call, and its number on each\n\
         //! architecture.\n\n\
         use super::NONE as X;\n\n\
         pub(super) const COLUMNS: usize = ",
    );
    let _ = write!(
        text,
        "{};\n\n#[rustfmt::skip]\n#[allow(clippy::large_const_arrays)] // it is not in the program, only what table.rs makes of it\npub(super) const ROWS: [(&str, [u16; COLUMNS]); {}] = [\n//",
        columns.len(),
        names.len()
    );
    for (arch, ..) in COLUMNS {
        let _ = write!(text, " {}", arch.name().trim_start_matches("SCMP_ARCH_").to_lowercase());
    }
    text.push('\n');
    for name in names {
        let _ = write!(text, "(\"{name}\", [");
        for (column, numbers) in columns.iter().enumerate() {
            let comma = if column == 0 { "" } else { "," };
            match numbers.get(name) {
                None => _ = write!(text, "{comma}X"),
                Some(private @ 0xf_0000..=0xf_00ff) => _ = write!(text, "{comma}{}", private - 0xf_0000 + 0xff00),
                Some(number) => _ = write!(text, "{comma}{}", number & !(1 << 30)),
            }
        }
        text.push_str("]),\n");
    }
    text.push_str("];\n");
    text
}

/// What is installed may be older than the table, or newer: then there are names that only one of them has. A name that both
/// have has one number.
#[test]
fn the_table_agrees_with_the_headers_of_this_machine() {
    let mut compared = 0;
    let directories = ["/usr/include/x86_64-linux-gnu/asm", "/usr/include/aarch64-linux-gnu/asm", "/usr/include/asm"];
    for (arch, kernel, header) in COLUMNS {
        let here = match kernel {
            "x86" => cfg!(any(target_arch = "x86", target_arch = "x86_64")),
            "arm64" => cfg!(target_arch = "aarch64"),
            _ => false,
        };
        let found = directories.iter().find_map(|asm| fs::read_to_string(Path::new(asm).join(header)).ok());
        let Some(text) = found.filter(|_| here) else { continue };
        for (name, number) in parse(&text) {
            if let Some(ours) = rt_seccomp::number(arch, &name) {
                assert_eq!(ours, number, "{name} on {arch}");
                compared += 1;
            } else {
                // Newer than the table: nothing that the table has may stand after it.
                let newest = rt_seccomp::names().filter_map(|name| rt_seccomp::number(arch, name)).max();
                assert!(Some(number) > newest, "{name} is {number} on {arch}, and missing in the table");
            }
        }
    }
    if compared == 0 {
        eprintln!("skipped: the kernel's headers are not installed");
    }
}
