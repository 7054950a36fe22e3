//! The architectures that a profile can name, and what of them matters to a filter.

use crate::names::names;

names! {
    /// One of the ABIs that runtime-spec 1.3 lists for `architectures`.
    Arch ("architecture") {
        /// 32-bit x86.
        X86 = "SCMP_ARCH_X86",
        /// 64-bit x86.
        X86_64 = "SCMP_ARCH_X86_64",
        /// 32-bit pointers on 64-bit x86. For the kernel it is `X86_64`, with a bit in the numbers.
        X32 = "SCMP_ARCH_X32",
        /// 32-bit ARM, EABI, little-endian.
        Arm = "SCMP_ARCH_ARM",
        /// 64-bit ARM, little-endian.
        Aarch64 = "SCMP_ARCH_AARCH64",
        /// MIPS, ABI o32, big-endian.
        Mips = "SCMP_ARCH_MIPS",
        /// MIPS, ABI n64, big-endian.
        Mips64 = "SCMP_ARCH_MIPS64",
        /// MIPS, ABI n32, big-endian.
        Mips64N32 = "SCMP_ARCH_MIPS64N32",
        /// MIPS, ABI o32, little-endian.
        Mipsel = "SCMP_ARCH_MIPSEL",
        /// MIPS, ABI n64, little-endian.
        Mipsel64 = "SCMP_ARCH_MIPSEL64",
        /// MIPS, ABI n32, little-endian.
        Mipsel64N32 = "SCMP_ARCH_MIPSEL64N32",
        /// 32-bit PowerPC.
        Ppc = "SCMP_ARCH_PPC",
        /// 64-bit PowerPC, big-endian.
        Ppc64 = "SCMP_ARCH_PPC64",
        /// 64-bit PowerPC, little-endian.
        Ppc64le = "SCMP_ARCH_PPC64LE",
        /// 31-bit z/Architecture.
        S390 = "SCMP_ARCH_S390",
        /// 64-bit z/Architecture.
        S390x = "SCMP_ARCH_S390X",
        /// 32-bit PA-RISC.
        Parisc = "SCMP_ARCH_PARISC",
        /// 64-bit PA-RISC.
        Parisc64 = "SCMP_ARCH_PARISC64",
        /// 64-bit RISC-V.
        Riscv64 = "SCMP_ARCH_RISCV64",
        /// 64-bit LoongArch.
        Loongarch64 = "SCMP_ARCH_LOONGARCH64",
        /// Motorola 68000.
        M68k = "SCMP_ARCH_M68K",
        /// SuperH, little-endian.
        Sh = "SCMP_ARCH_SH",
        /// SuperH, big-endian.
        Sheb = "SCMP_ARCH_SHEB",
    }
}

/// The bit that tells a system call of x32 from one of x86_64.
pub(crate) const X32_BIT: u32 = 1 << 30;

/// How wide an argument is for an ABI: what is beyond is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// The low half only.
    Bits32,
    /// Both halves.
    Bits64,
}

/// Which half of a 64-bit number comes first in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endian {
    /// The low one.
    Little,
    /// The high one.
    Big,
}

impl Arch {
    /// That of the machine rt is built for.
    pub const NATIVE: Self = native();

    /// What the kernel calls it in `seccomp_data.arch`: `AUDIT_ARCH_*` of linux/audit.h, which is the number of the
    /// architecture in ELF files with bits for 64-bit and little-endian.
    pub const fn audit(self) -> u32 {
        const WIDE: u32 = 1 << 31;
        const LITTLE: u32 = 1 << 30;
        const N32: u32 = 1 << 29;
        match self {
            Self::X86 => 3 | LITTLE,
            Self::X86_64 | Self::X32 => 62 | WIDE | LITTLE,
            Self::Arm => 40 | LITTLE,
            Self::Aarch64 => 183 | WIDE | LITTLE,
            Self::Mips => 8,
            Self::Mips64 => 8 | WIDE,
            Self::Mips64N32 => 8 | WIDE | N32,
            Self::Mipsel => 8 | LITTLE,
            Self::Mipsel64 => 8 | WIDE | LITTLE,
            Self::Mipsel64N32 => 8 | WIDE | LITTLE | N32,
            Self::Ppc => 20,
            Self::Ppc64 => 21 | WIDE,
            Self::Ppc64le => 21 | WIDE | LITTLE,
            Self::S390 => 22,
            Self::S390x => 22 | WIDE,
            Self::Parisc => 15,
            Self::Parisc64 => 15 | WIDE,
            Self::Riscv64 => 243 | WIDE | LITTLE,
            Self::Loongarch64 => 258 | WIDE | LITTLE,
            Self::M68k => 4,
            Self::Sh => 42 | LITTLE,
            Self::Sheb => 42,
        }
    }

    pub(crate) const fn width(self) -> Width {
        match self {
            Self::X86
            | Self::X32
            | Self::Arm
            | Self::Mips
            | Self::Mips64N32
            | Self::Mipsel
            | Self::Mipsel64N32
            | Self::Ppc
            | Self::S390
            | Self::Parisc
            | Self::M68k
            | Self::Sh
            | Self::Sheb => Width::Bits32,
            Self::X86_64
            | Self::Aarch64
            | Self::Mips64
            | Self::Mipsel64
            | Self::Ppc64
            | Self::Ppc64le
            | Self::S390x
            | Self::Parisc64
            | Self::Riscv64
            | Self::Loongarch64 => Width::Bits64,
        }
    }

    pub(crate) const fn endian(self) -> Endian {
        match self {
            Self::Mips
            | Self::Mips64
            | Self::Mips64N32
            | Self::Ppc
            | Self::Ppc64
            | Self::S390
            | Self::S390x
            | Self::Parisc
            | Self::Parisc64
            | Self::M68k
            | Self::Sheb => Endian::Big,
            _ => Endian::Little,
        }
    }

    /// Whether socket calls can also be made through socketcall(2), and those of System V IPC through ipc(2).
    pub(crate) const fn multiplexes(self) -> bool {
        matches!(
            self,
            Self::X86
                | Self::Mips
                | Self::Mipsel
                | Self::Ppc
                | Self::Ppc64
                | Self::Ppc64le
                | Self::S390
                | Self::S390x
                | Self::M68k
                | Self::Sh
                | Self::Sheb
        )
    }
}

const fn native() -> Arch {
    if cfg!(target_arch = "x86_64") {
        Arch::X86_64
    } else if cfg!(target_arch = "x86") {
        Arch::X86
    } else if cfg!(target_arch = "aarch64") {
        Arch::Aarch64
    } else if cfg!(target_arch = "arm") {
        Arch::Arm
    } else if cfg!(target_arch = "riscv64") {
        Arch::Riscv64
    } else if cfg!(target_arch = "loongarch64") {
        Arch::Loongarch64
    } else if cfg!(target_arch = "s390x") {
        Arch::S390x
    } else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
        Arch::Ppc64le
    } else if cfg!(target_arch = "powerpc64") {
        Arch::Ppc64
    } else if cfg!(target_arch = "powerpc") {
        Arch::Ppc
    } else if cfg!(all(target_arch = "mips64", target_endian = "little")) {
        Arch::Mipsel64
    } else if cfg!(target_arch = "mips64") {
        Arch::Mips64
    } else if cfg!(all(target_arch = "mips", target_endian = "little")) {
        Arch::Mipsel
    } else if cfg!(target_arch = "mips") {
        Arch::Mips
    } else if cfg!(target_arch = "m68k") {
        Arch::M68k
    } else {
        panic!("an architecture without seccomp, or one that is not in the list above")
    }
}
