//! What the gateway's process may hold.

use crate::process;

/// The most it may hold in a whole run, in bytes. An allocator keeps pages for later, so what one attack is allowed says
/// little of what several leave behind: this is what the greatest alone takes of a fresh process, and half as much again.
pub const WHOLE_RUN: u64 = 448 << 20;
/// How much more it may take in the second half of several equal attacks: pages lie apart in another way each time.
const UNEVEN: u64 = 16 << 20;

/// What it held before an attack, and the most during it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// When the attack began.
    pub before: u64,
    /// The most.
    pub peak: u64,
}

impl Memory {
    /// Begins a measurement; [`Memory::now`] ends it.
    pub fn begin(pid: u32) -> Option<Self> {
        let before = process::resident(pid)?;
        process::forget_peak(pid);
        Some(Self { before, peak: before })
    }

    /// The measurement as it stands.
    #[must_use]
    pub fn now(self, pid: u32) -> Self {
        Self { peak: process::peak(pid).unwrap_or(self.peak), ..self }
    }

    /// How much more it took, in MiB.
    #[must_use]
    pub fn more(self) -> u64 {
        self.peak.saturating_sub(self.before) >> 20
    }

    /// What is too much of it, for one attack and for all.
    pub fn findings(self, attack: u64, all: Option<u64>) -> Vec<String> {
        let mut findings = Vec::new();
        if self.peak > self.before + attack {
            findings.push(format!("{} MiB more of memory, {} are allowed", self.more(), attack >> 20));
        }
        if let Some(all) = all.filter(|all| self.peak > *all) {
            let peak = self.peak >> 20;
            findings.push(format!("{peak} MiB of memory in all, {} are allowed", all >> 20));
        }
        findings
    }
}

/// Whether the same attack goes on costing more each time it is done. What is kept for later is kept once, and what lies
/// apart grows less each time: in the second half of a leak it grows as in the first.
pub fn growth(peaks: &[u64]) -> Option<String> {
    let [first, .., last] = peaks else { return None };
    let middle = peaks[peaks.len() / 2];
    let (before, after) = (middle.saturating_sub(*first), last.saturating_sub(middle));
    let mib: Vec<u64> = peaks.iter().map(|peak| peak >> 20).collect();
    (after > UNEVEN && 2 * after > before).then(|| format!("memory goes on growing: {mib:?} MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_adds_up_is_too_much_though_each_part_is_not() {
        let run: Vec<Memory> =
            (0..5).map(|it| Memory { before: it * 60 * MIB, peak: (it + 1) * 60 * MIB }).collect();
        let found: Vec<usize> = run.iter().map(|it| it.findings(64 * MIB, Some(250 * MIB)).len()).collect();
        assert_eq!(found, [0, 0, 0, 0, 1]);
        assert_eq!(Memory { before: 0, peak: 65 * MIB }.findings(64 * MIB, None).len(), 1);
    }

    #[test]
    fn a_leak_is_told_from_what_is_kept() {
        let peaks = |mib: &[u64]| growth(&mib.iter().map(|mib| mib * MIB).collect::<Vec<_>>());
        assert_eq!(peaks(&[70, 280, 285, 280, 291]), None);
        assert_eq!(peaks(&[140, 187, 206, 214, 217]), None);
        assert_eq!(peaks(&[300, 293, 215, 212, 205]), None);
        assert!(peaks(&[70, 90, 110, 130, 150]).is_some());
        assert!(peaks(&[270, 280, 290, 300, 310]).is_some());
        assert_eq!(peaks(&[280]), None);
    }
}
