//! What the compiler expects of a C library: moving and comparing memory. In assembly, because in Rust each of them
//! would be compiled to a call of itself.

use core::arch::naked_asm;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::naked_asm;

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        naked_asm!("mov rax, rdi", "mov rcx, rdx", "rep movsb", "ret")
    }

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        naked_asm!(
            "mov rax, rdi",
            "mov rcx, rdx",
            "mov r8, rdi",
            "sub r8, rsi",
            "cmp r8, rdx",
            "jb 2f", // the target begins inside the source: from the end
            "rep movsb",
            "ret",
            "2:",
            "lea rdi, [rdi + rcx - 1]",
            "lea rsi, [rsi + rcx - 1]",
            "std",
            "rep movsb",
            "cld",
            "ret",
        )
    }

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
        naked_asm!("mov r8, rdi", "mov eax, esi", "mov rcx, rdx", "rep stosb", "mov rax, r8", "ret")
    }

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        naked_asm!(
            "xor ecx, ecx",
            "2:",
            "cmp rcx, rdx",
            "je 3f",
            "movzx eax, byte ptr [rdi + rcx]",
            "movzx r8d, byte ptr [rsi + rcx]",
            "inc rcx",
            "sub eax, r8d",
            "je 2b",
            "ret",
            "3:",
            "xor eax, eax",
            "ret",
        )
    }

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        naked_asm!("jmp {memcmp}", memcmp = sym memcmp)
    }

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(text: *const u8) -> usize {
        naked_asm!("xor eax, eax", "2:", "cmp byte ptr [rdi + rax], 0", "je 3f", "inc rax", "jmp 2b", "3:", "ret",)
    }
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use super::naked_asm;

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        naked_asm!(
            "mov x3, x0",
            "2:",
            "cbz x2, 3f",
            "ldrb w4, [x1], #1",
            "strb w4, [x3], #1",
            "sub x2, x2, #1",
            "b 2b",
            "3:",
            "ret",
        )
    }

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        naked_asm!(
            "sub x3, x0, x1",
            "cmp x3, x2",
            "b.hs {memcpy}",
            "2:",
            "cbz x2, 3f", // the target begins inside the source: from the end
            "sub x2, x2, #1",
            "ldrb w4, [x1, x2]",
            "strb w4, [x0, x2]",
            "b 2b",
            "3:",
            "ret",
            memcpy = sym memcpy,
        )
    }

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
        naked_asm!("mov x3, x0", "2:", "cbz x2, 3f", "strb w1, [x3], #1", "sub x2, x2, #1", "b 2b", "3:", "ret",)
    }

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        naked_asm!(
            "2:",
            "cbz x2, 3f",
            "ldrb w3, [x0], #1",
            "ldrb w4, [x1], #1",
            "sub x2, x2, #1",
            "subs w5, w3, w4",
            "b.eq 2b",
            "mov w0, w5",
            "ret",
            "3:",
            "mov w0, wzr",
            "ret",
        )
    }

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
        naked_asm!("b {memcmp}", memcmp = sym memcmp)
    }

    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(text: *const u8) -> usize {
        naked_asm!("mov x1, x0", "2:", "ldrb w2, [x1], #1", "cbnz w2, 2b", "sub x0, x1, x0", "sub x0, x0, #1", "ret",)
    }
}
