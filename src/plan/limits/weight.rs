//! Weights of cgroup v2 for those of v1.
#![forbid(unsafe_code)]

use super::signed;
use crate::cgroup::Mode;
use crate::config::Cpu;

/// The weight of the CPU controller in its own interface; 0 leaves it as it is.
#[inline(never)] // of files and of systemd's properties
pub(in crate::plan) fn of_cpu(it: &Cpu, mode: Mode) -> i64 {
    let shares = it.shares.unwrap_or(0);
    // An idle cgroup has no weight, and refuses one.
    if shares == 0 || it.idle.unwrap_or(0) != 0 {
        return 0;
    }
    signed(match mode {
        Mode::V2 => of_shares(shares),
        Mode::V1 | Mode::None => shares,
    })
}

/// As [`of_cpu`], of block devices; BFQ has that of v1 in both.
#[inline(never)] // as above
pub(in crate::plan) fn of_io(weight: Option<u16>, mode: Mode) -> i64 {
    let weight = u64::from(weight.unwrap_or(0));
    signed(match mode {
        Mode::V2 if weight != 0 => of_blkio(weight),
        _ => weight,
    })
}

/// Bits behind the point of a logarithm.
const FRACTION: u32 = 48;
/// log2(10).
const LOG_OF_TEN: u64 = 935_039_633_142_895;
/// More than the errors of two logarithms, less than the distance of any other weight.
const ERROR: u64 = 1 << 4;

/// CPU shares (2 to 262144, usually 1024) as a weight (1 to 10000, usually 100): the least integer that is not below
/// `10^((l² + 125 l) / 612 − 7/34)` with `l = log2(shares)`, which maps both ends and the usual value onto each other.
fn of_shares(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    // Below 18: its square and 125 times it leave room in 64 bits.
    let l = log2(shares);
    let sum = times(l, l) + 125 * l;
    // 7/34 is 126/612.
    let wanted = times(sum.saturating_sub(126 << FRACTION) / 612, LOG_OF_TEN);
    let (mut low, mut high) = (1, 10_000);
    while low < high {
        let middle = (low + high) / 2;
        if log2(middle) + ERROR >= wanted {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// blkio weight (10 to 1000) as io.weight (1 to 10000).
fn of_blkio(weight: u64) -> u64 {
    1 + weight.saturating_sub(10) * 9999 / 990
}

/// The product of two numbers with [`FRACTION`] bits behind the point.
fn times(one: u64, other: u64) -> u64 {
    u64::try_from((u128::from(one) * u128::from(other)) >> FRACTION).unwrap_or(u64::MAX)
}

/// The binary logarithm of a number from 1 on, with [`FRACTION`] bits behind the point: each squaring of the mantissa
/// tells one bit.
fn log2(number: u64) -> u64 {
    let whole = number.ilog2();
    // From 1 to below 2, with 63 bits behind the point.
    let mut mantissa = u128::from(number) << (63 - whole);
    let mut log = u64::from(whole);
    for _ in 0..FRACTION {
        mantissa = (mantissa * mantissa) >> 63;
        let bit = u64::from(mantissa >> 64 != 0);
        mantissa >>= bit;
        log = log << 1 | bit;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::{LOG_OF_TEN, of_blkio, of_shares};

    #[test]
    fn the_constant() {
        let exact = 10_f64.log2() * f64::from(2).powi(48);
        assert!((exact - LOG_OF_TEN as f64).abs() < 1.0);
    }

    #[test]
    fn shares() {
        for (shares, weight) in [
            (0, 1),
            (1, 1),
            (2, 1),
            (3, 2),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (262_143, 10_000),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(of_shares(shares), weight, "{shares}");
        }
        for shares in (3..262_144_u32).step_by(97) {
            let l = f64::from(shares).log2();
            let weight = 10_f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0).ceil();
            assert_eq!(of_shares(u64::from(shares)) as f64, weight, "{shares}");
        }
    }

    #[test]
    fn blkio() {
        for (old, new) in [(10, 1), (100, 910), (500, 4950), (1000, 10_000), (5, 1)] {
            assert_eq!(of_blkio(old), new);
        }
    }
}
