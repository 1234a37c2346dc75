//! Instruction sets, and which of them this processor has.

use std::fmt;
use std::str::FromStr;

/// A way to compute. Every one gives the same whole numbers; they differ in speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust: the reference that every other one must equal.
    Scalar,
    /// The `simsimd` library, which picks among NEON, SVE, AVX2 and AVX-512 by itself.
    Simsimd,
    /// AVX2 (x86-64 of about 2013 and later).
    Avx2,
    /// AVX-VNNI: AVX2 with products of bytes summed in one instruction, without AVX-512.
    AvxVnni,
    /// AVX-512 with the foundation, byte, vector-length and VNNI parts.
    Avx512,
    /// AMX tiles of bytes for many probes, and AVX-512 for one.
    Amx,
}

impl Isa {
    /// Every instruction set we have kernels for, the slowest first.
    pub const ALL: [Isa; 6] = [
        Isa::Scalar,
        Isa::Simsimd,
        Isa::Avx2,
        Isa::AvxVnni,
        Isa::Avx512,
        Isa::Amx,
    ];

    /// Whether this processor, and the operating system on it, can run it. Asked once per process.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Scalar | Isa::Simsimd => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => has_avx2() && std::arch::is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => has_avx512(),
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => has_avx512() && super::amx::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The instruction sets that this processor has, the slowest first.
    pub fn available() -> impl Iterator<Item = Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available())
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    has_avx2()
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512vnni")
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Scalar => "scalar",
            Isa::Simsimd => "simsimd",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avxvnni",
            Isa::Avx512 => "avx512",
            Isa::Amx => "amx",
        })
    }
}

impl FromStr for Isa {
    type Err = String;

    fn from_str(text: &str) -> Result<Isa, String> {
        let named = Isa::ALL.into_iter().find(|isa| isa.to_string() == text);
        named.ok_or_else(|| {
            let known = Isa::ALL.map(|isa| isa.to_string()).join(", ");
            format!("no kernel is called `{text}`: expected one of {known}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for isa in Isa::ALL {
            assert_eq!(isa.to_string().parse(), Ok(isa));
        }
        let error = "mmx".parse::<Isa>().unwrap_err();
        assert!(error.contains("scalar, simsimd, avx2"), "{error}");
    }

    #[test]
    fn the_portable_ones_are_everywhere() {
        assert!(Isa::Scalar.is_available() && Isa::Simsimd.is_available());
    }
}
