//! The entry point of the freestanding program.
//!
//! Only rt-runtime's build script compiles it as such (`--cfg rt_program`); in the workspace it is an ordinary
//! program that does nothing, so that no feature or lint setting of the workspace can disturb it.

#![cfg_attr(rt_program, no_std, no_main)]
#![cfg_attr(rt_program, allow(unsafe_code))]

#[cfg(rt_program)]
mod mem;

#[cfg(rt_program)]
mod program {
    use core::arch::naked_asm;
    use core::ffi::{CStr, c_char};

    /// The kernel jumps here with the argument vector on the stack.
    #[cfg(target_arch = "x86_64")]
    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn _start() -> ! {
        naked_asm!("xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {main}", "ud2", main = sym main)
    }

    /// The kernel jumps here with the argument vector on the stack.
    #[cfg(target_arch = "aarch64")]
    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn _start() -> ! {
        naked_asm!("mov x29, xzr", "mov x30, xzr", "mov x0, sp", "bl {main}", "brk 1", main = sym main)
    }

    /// `stack` is argc, then the argument pointers: `rt-init`, and how many bytes the plan has.
    unsafe extern "C" fn main(stack: *const usize) -> ! {
        // SAFETY: the kernel put at least argc there.
        let count = unsafe { *stack };
        let len = if count == 2 {
            // SAFETY: the argument pointers lie behind argc, and there are two of them.
            let second = unsafe { stack.add(2) };
            // SAFETY: as above; the kernel wrote a pointer there.
            let word = unsafe { *second.cast::<*const c_char>() };
            // SAFETY: it points to a C string on the stack, which is never unmapped.
            let word = unsafe { CStr::from_ptr(word) };
            word.to_str().ok().and_then(|word| word.parse().ok())
        } else {
            None
        };
        let at = core::ptr::with_exposed_provenance::<u8>(rt_wire::PLAN_ADDRESS);
        // SAFETY: the parent has made the plan a segment of this program and counted its bytes: the kernel mapped them there,
        // and nobody unmaps them. The file is sealed. Of no bytes nothing is read.
        rt_init::walk(unsafe { core::slice::from_raw_parts(at, len.unwrap_or(0)) }, code())
    }

    unsafe extern "C" {
        /// The first byte of this program: the linker's name.
        static __executable_start: u8;
        /// The one after its code: link.ld's.
        static code_end: u8;
    }

    /// Whole pages of this program's first segment, which holds its code and constants.
    fn code() -> core::ops::Range<usize> {
        // As large as any kernel's, so that no other segment lies in the last of them.
        const PAGE: usize = if cfg!(target_arch = "x86_64") { 4 << 10 } else { 64 << 10 };
        let (start, end) = ((&raw const __executable_start).addr(), (&raw const code_end).addr());
        start..end.next_multiple_of(PAGE)
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        rt_init::panicked(info.location().map_or(0, core::panic::Location::line))
    }
}

#[cfg(not(rt_program))]
fn main() {}
