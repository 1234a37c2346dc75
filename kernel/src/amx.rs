//! Whether AMX may be used: the processor has it, and the operating system gives it to this
//! process.

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

/// Whether the processor has AMX for bytes, and the operating system lets this process use it.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_amx_int8() && is_enabled() && is_permitted())
}

/// CPUID, leaf 7, EDX: bit 24 AMX-TILE, bit 25 AMX-INT8.
fn has_amx_int8() -> bool {
    let [highest, osxsave] = [__cpuid_count(0, 0).eax, __cpuid_count(1, 0).ecx >> 27 & 1];
    highest >= 7 && osxsave == 1 && __cpuid_count(7, 0).edx >> 24 & 3 == 3
}

/// XCR0: the operating system saves tile configuration (bit 17) and tile data (bit 18).
fn is_enabled() -> bool {
    let lower: u32;
    // SAFETY: `xgetbv` exists where CPUID says OSXSAVE, which `has_amx_int8` has asked.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") lower, out("edx") _, options(nomem, nostack));
    }
    lower >> 17 & 3 == 3
}

/// Asks Linux for tile data, once for all threads of the process: `arch_prctl` (system call 158)
/// with `ARCH_REQ_XCOMP_PERM` (0x1023) and `XFEATURE_XTILEDATA` (18), see the kernel's
/// `Documentation/arch/x86/xstate.rst`.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    let result: i64;
    // SAFETY: The call takes two numbers and no pointer; the kernel changes rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inout("rax") 158_i64 => result,
            in("rdi") 0x1023,
            in("rsi") 18,
            out("rcx") _, out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// Other systems enable it at the first use, or never; untested, so not used.
#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}
