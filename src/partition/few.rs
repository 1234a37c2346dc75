//! Whether a class is one of some, asked of every row of a large gallery.

use std::collections::HashSet;

/// Some classes, of which most others are told apart without looking into a table: a gallery may have
/// millions of rows.
pub(super) struct Few {
    bits: Vec<u64>,
    classes: HashSet<i64>,
}

impl Few {
    /// As many bits as there are classes at the most in a batch, several times.
    const BITS: u64 = 1 << 20;

    pub(super) fn of(classes: &[i64]) -> Few {
        let mut bits = vec![0_u64; (Few::BITS / 64) as usize];
        for class in classes {
            let at = Few::place(*class);
            bits[(at / 64) as usize] |= 1 << (at % 64);
        }
        let classes = classes.iter().copied().collect();
        Few { bits, classes }
    }

    fn place(class: i64) -> u64 {
        (class as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44
    }

    pub(super) fn contains(&self, class: i64) -> bool {
        let at = Few::place(class);
        self.bits[(at / 64) as usize] >> (at % 64) & 1 == 1 && self.classes.contains(&class)
    }
}
