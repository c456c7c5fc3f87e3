//! Comparison that tells nothing by the time it takes.

use subtle::ConstantTimeEq;

/// Whether the two are the same; takes the same time whatever they are.
///
/// Eight bytes at a step: byte by byte, each behind a barrier of its own, comparing two signatures takes a seventh of the
/// time of deciding about a long-lived token. There is one barrier, and nothing before it depends on the outcome.
pub(crate) fn is_same<const N: usize>(one: &[u8; N], other: &[u8; N]) -> bool {
    let (words, rest) = one.as_chunks();
    let (other_words, other_rest) = other.as_chunks();
    let differ = |one: &[u8; 8], other: &[u8; 8]| u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other);
    let of_words = words.iter().zip(other_words).fold(0, |all, (one, other)| all | differ(one, other));
    let of_rest = rest.iter().zip(other_rest).fold(0, |all, (one, other)| all | (one ^ other));
    (of_words | u64::from(of_rest)).ct_eq(&0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_difference_in_any_bit_counts<const N: usize>() {
        let one = std::array::from_fn(|at| at as u8);
        assert!(is_same::<N>(&one, &one.clone()));
        for at in 0..N {
            for bit in 0..8 {
                let mut other = one;
                other[at] ^= 1 << bit;
                assert!(!is_same(&one, &other), "{N}: bit {bit} of byte {at}");
            }
        }
    }

    /// The same difference twice must not make up for itself.
    fn two_differences_count<const N: usize>() {
        let one: [u8; N] = std::array::from_fn(|at| at as u8);
        for (at, and) in (0..N).flat_map(|at| (0..at).map(move |and| (at, and))) {
            let mut other = one;
            (other[at], other[and]) = (other[at] ^ 1, other[and] ^ 1);
            assert!(!is_same(&one, &other), "{N}: bytes {at} and {and}");
        }
    }

    #[test]
    fn only_what_is_the_same_is_the_same() {
        a_difference_in_any_bit_counts::<0>();
        a_difference_in_any_bit_counts::<1>();
        a_difference_in_any_bit_counts::<7>();
        a_difference_in_any_bit_counts::<8>();
        a_difference_in_any_bit_counts::<32>();
        a_difference_in_any_bit_counts::<43>();
        two_differences_count::<7>();
        two_differences_count::<32>();
        two_differences_count::<43>();
    }
}
