//! Chance without a shared stream: a decision is a function of the seed, of what it is about, and
//! of how many of its kind came before.
//!
//! ```text
//! stream  = mix(seed, purpose, who)      "losses from n1 to n2", "crashes of n3"
//! draw(n) = mix(stream, n)               the n-th decision of that kind
//! ```
//!
//! So a fault that is taken out of a run, or a message that is not sent, moves no decision about
//! anything else. All arithmetic is on integers: a logarithm differs between platforms in its last
//! bit, and one bit is another run.
//!
//! Source: the finalizer is that of Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
//! Generators" (2014).

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Returns a number that depends on all of `seed`, `stream` and `counter`, and looks random.
///
/// Takes a few nanoseconds.
///
/// # Examples
///
/// ```
/// use quorate_sim::mix;
///
/// assert_eq!(mix(42, 1, 7), mix(42, 1, 7));
/// assert_ne!(mix(42, 1, 7), mix(42, 1, 8));
/// ```
#[must_use]
pub const fn mix(seed: u64, stream: u64, counter: u64) -> u64 {
    let key = finalize(seed ^ finalize(stream.wrapping_add(GAMMA)));
    finalize(key.wrapping_add(counter.wrapping_add(1).wrapping_mul(GAMMA)))
}

/// How often something happens, out of 2^32.
///
/// # Examples
///
/// ```
/// use quorate_sim::{Ratio, mix};
///
/// let hits = (0..10_000).filter(|n| Ratio::percent(30).is_hit(mix(1, 1, *n))).count();
/// assert!((2_850..3_150).contains(&hits));
/// ```
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Ratio(pub u32);

impl Ratio {
    /// Not once.
    pub const NEVER: Self = Self(0);
    /// Every time.
    pub const ALWAYS: Self = Self(u32::MAX);

    /// Returns `percent` out of 100; 100 and more are [`ALWAYS`](Self::ALWAYS).
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::per_million(percent.saturating_mul(10_000))
    }

    /// Returns `count` out of 1,000,000; that many and more are [`ALWAYS`](Self::ALWAYS).
    #[must_use]
    pub const fn per_million(count: u32) -> Self {
        if 1_000_000 <= count {
            return Self::ALWAYS;
        }
        // 2^32 / 10^6 = 4294 + 967296 / 10^6.
        Self(count * 4_294 + low(count as u64 * 967_296 / 1_000_000))
    }

    /// Returns whether `number`, any of the 2^64 with equal chance, is a hit.
    #[must_use]
    pub const fn is_hit(self, number: u64) -> bool {
        low(number >> 32) < self.0 || self.0 == u32::MAX
    }
}

/// How long something takes. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[non_exhaustive]
pub enum Delay {
    /// Always the same.
    Const {
        /// The time.
        nanos: u64,
    },
    /// Each time from `min_nanos` to before `end_nanos` with equal chance.
    Uniform {
        /// The shortest.
        min_nanos: u64,
        /// More than the longest, unless it equals the shortest.
        end_nanos: u64,
    },
    /// Many short ones and a few long ones, as of what arrives by chance.
    Exponential {
        /// The shortest.
        min_nanos: u64,
        /// The mean of what is added to it. The longest is 7.55 times as much.
        mean_nanos: u64,
    },
    /// Either of two: a cache that is hit or missed, a packet that is sent or sent again.
    Bimodal {
        /// The usual time.
        fast_nanos: u64,
        /// The other time.
        slow_nanos: u64,
        /// How often it is the other.
        slow: Ratio,
    },
    /// Each time with a chance of `(min / time)^2` to be longer: a tail without an end in sight.
    Pareto {
        /// The shortest. The mean is twice, the longest 65,536 times as much.
        min_nanos: u64,
    },
    /// Any time up to an end; or, now and then, much more: a uniform part of a uniform time. What
    /// is late arrives in any order.
    Late {
        /// More than the longest usual time.
        end_nanos: u64,
        /// How often it is late.
        late: Ratio,
        /// What it takes longer then, at least.
        late_min_nanos: u64,
        /// What is added to that, at most; a quarter of it in the mean.
        late_end_nanos: u64,
    },
}

impl Delay {
    /// No time at all.
    pub const ZERO: Self = Self::Const { nanos: 0 };

    /// Always takes `time`.
    #[must_use]
    pub fn constant(time: Duration) -> Self {
        Self::Const { nanos: nanos(time) }
    }

    /// Takes any time of `times` with equal chance.
    #[must_use]
    pub fn uniform(times: Range<Duration>) -> Self {
        Self::Uniform { min_nanos: nanos(times.start), end_nanos: nanos(times.end) }
    }

    /// Takes `min` and an exponential time of the given `mean`.
    #[must_use]
    pub fn exponential(min: Duration, mean: Duration) -> Self {
        Self::Exponential { min_nanos: nanos(min), mean_nanos: nanos(mean) }
    }

    /// Returns the mean in nanoseconds, or close to it.
    pub(crate) fn mean(self) -> u64 {
        match self {
            Self::Const { nanos } => nanos,
            Self::Uniform { min_nanos, end_nanos } => min_nanos.midpoint(end_nanos),
            Self::Exponential { min_nanos, mean_nanos } => min_nanos.saturating_add(mean_nanos),
            Self::Bimodal { fast_nanos, .. } => fast_nanos,
            Self::Pareto { min_nanos } => min_nanos.saturating_mul(2),
            Self::Late { end_nanos, .. } => end_nanos / 2,
        }
    }

    /// Returns the time in nanoseconds that `number` stands for.
    #[must_use]
    pub fn draw(self, number: u64) -> u64 {
        match self {
            Self::Const { nanos } => nanos,
            Self::Uniform { min_nanos, end_nanos } => {
                min_nanos + scale(number, end_nanos.saturating_sub(min_nanos))
            }
            Self::Exponential { min_nanos, mean_nanos } => {
                min_nanos.saturating_add(exponential(number, mean_nanos))
            }
            Self::Bimodal { fast_nanos, slow_nanos, slow } => {
                if slow.is_hit(number) {
                    slow_nanos
                } else {
                    fast_nanos
                }
            }
            Self::Pareto { min_nanos } => pareto(number, min_nanos),
            Self::Late { end_nanos, late, late_min_nanos, late_end_nanos } => {
                // Whether it is late says nothing about the rest.
                let usual = scale(mix(number, 0, 0), end_nanos);
                if !late.is_hit(number) {
                    return usual;
                }
                let more = scale(mix(number, 0, 2), scale(mix(number, 0, 1), late_end_nanos));
                usual.saturating_add(late_min_nanos).saturating_add(more)
            }
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::from_nanos;
        match *self {
            Self::Const { nanos } => write!(f, "{:?}", time(nanos)),
            Self::Uniform { min_nanos, end_nanos } => {
                write!(f, "{:?}..{:?}", time(min_nanos), time(end_nanos))
            }
            Self::Exponential { min_nanos, mean_nanos } => {
                write!(f, "{:?}+exp({:?})", time(min_nanos), time(mean_nanos))
            }
            Self::Bimodal { fast_nanos, slow_nanos, slow } => {
                write!(f, "{:?}|{:?}({slow})", time(fast_nanos), time(slow_nanos))
            }
            Self::Pareto { min_nanos } => write!(f, "pareto({:?})", time(min_nanos)),
            Self::Late { end_nanos, late, late_min_nanos, late_end_nanos } => {
                let (end, min, more) =
                    (time(end_nanos), time(late_min_nanos), time(late_end_nanos));
                write!(f, "0ns..{end:?}|{min:?}+{more:?}({late})")
            }
        }
    }
}

impl fmt::Display for Ratio {
    /// Writes per cent with two digits, as in `12.50%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = (u64::from(self.0) * 10_000).div_ceil(1 << 32);
        write!(f, "{}.{:02}%", hundredths / 100, hundredths % 100)
    }
}

/// Returns `number` of the 2^64 as a number below `end`.
pub(crate) fn scale(number: u64, end: u64) -> u64 {
    u64::try_from((u128::from(number) * u128::from(end)) >> 64).expect("the upper half fits 64")
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns an exponential time: the upper 8 bits of `number` choose a bucket, the next 16 a place
/// in it.
fn exponential(number: u64, mean_nanos: u64) -> u64 {
    let bucket = usize::try_from(number >> 56).expect("8 bits");
    let within = (number >> 40) & 0xffff;
    let shortest = u64::from(EXPONENTIAL[bucket]);
    // The last bucket has no end; above it the mean is one more, so two is as good an end.
    let longest = match bucket {
        0 => shortest + (2 << 16),
        _ => u64::from(EXPONENTIAL[bucket - 1]),
    };
    let factor = shortest + (((longest - shortest) * within) >> 16);
    let nanos = (u128::from(mean_nanos) * u128::from(factor)) >> 16;
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Returns `min` divided by the root of a number from 2^-32 to 1, which the upper half of `number`
/// is. An integer root: that of floats may differ between platforms in its last bit.
fn pareto(number: u64, min_nanos: u64) -> u64 {
    let factor = (u64::MAX / ((number >> 32) + 1)).isqrt();
    let nanos = (u128::from(min_nanos) * u128::from(factor)) >> 16;
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

pub(crate) const fn finalize(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
const fn low(number: u64) -> u32 {
    number as u32
}

/// 2^64 divided by the golden ratio, odd.
pub(crate) const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// `-ln((i + 1) / 256)`, in units of 2^-16.
#[rustfmt::skip]
const EXPONENTIAL: [u32; 256] = [
    363_409, 317_983, 291_410, 272_557, 257_933, 245_984, 235_882, 227_130, 219_411, 212_507,
    206_260, 200_558, 195_312, 190_455, 185_934, 181_704, 177_731, 173_985, 170_442, 167_080,
    163_883, 160_834, 157_921, 155_132, 152_457, 149_886, 147_413, 145_029, 142_730, 140_508,
    138_359, 136_278, 134_262, 132_305, 130_405, 128_559, 126_764, 125_016, 123_314, 121_654,
    120_036, 118_457, 116_915, 115_408, 113_935, 112_495, 111_085, 109_706, 108_354, 107_030,
    105_733, 104_460, 103_212, 101_987, 100_784, 99_603, 98_443, 97_304, 96_183, 95_082, 93_999,
    92_933, 91_884, 90_852, 89_836, 88_836, 87_850, 86_879, 85_922, 84_979, 84_050, 83_133, 82_229,
    81_338, 80_458, 79_590, 78_733, 77_887, 77_053, 76_228, 75_414, 74_610, 73_816, 73_031, 72_255,
    71_489, 70_731, 69_982, 69_241, 68_509, 67_785, 67_069, 66_360, 65_659, 64_966, 64_280, 63_600,
    62_928, 62_263, 61_604, 60_952, 60_307, 59_667, 59_034, 58_407, 57_786, 57_170, 56_561, 55_957,
    55_358, 54_765, 54_177, 53_595, 53_017, 52_445, 51_877, 51_315, 50_757, 50_204, 49_656, 49_112,
    48_572, 48_037, 47_507, 46_980, 46_458, 45_940, 45_426, 44_916, 44_410, 43_908, 43_409, 42_915,
    42_424, 41_937, 41_453, 40_973, 40_496, 40_023, 39_553, 39_087, 38_624, 38_164, 37_707, 37_254,
    36_803, 36_356, 35_911, 35_470, 35_032, 34_596, 34_164, 33_734, 33_307, 32_883, 32_461, 32_043,
    31_627, 31_213, 30_802, 30_394, 29_988, 29_585, 29_184, 28_786, 28_390, 27_996, 27_605, 27_216,
    26_829, 26_445, 26_063, 25_683, 25_305, 24_929, 24_556, 24_185, 23_815, 23_448, 23_083, 22_720,
    22_359, 22_000, 21_643, 21_288, 20_934, 20_583, 20_233, 19_886, 19_540, 19_196, 18_854, 18_513,
    18_174, 17_837, 17_502, 17_169, 16_837, 16_507, 16_178, 15_851, 15_526, 15_202, 14_880, 14_560,
    14_241, 13_924, 13_608, 13_294, 12_981, 12_669, 12_360, 12_051, 11_744, 11_439, 11_135, 10_832,
    10_530, 10_231, 9_932, 9_635, 9_339, 9_044, 8_751, 8_459, 8_169, 7_879, 7_591, 7_304, 7_019,
    6_734, 6_451, 6_169, 5_889, 5_609, 5_331, 5_054, 4_778, 4_503, 4_230, 3_957, 3_686, 3_415,
    3_146, 2_878, 2_611, 2_345, 2_081, 1_817, 1_554, 1_293, 1_032, 773, 514, 257, 0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponential_delay_has_its_mean() {
        let delay = Delay::exponential(Duration::ZERO, Duration::from_millis(1));
        let sum: u64 = (0..100_000).map(|n| delay.draw(mix(7, 7, n))).sum();
        let mean = sum / 100_000;
        assert!((980_000..1_020_000).contains(&mean), "{mean}");
    }

    #[test]
    fn a_third_of_the_late_ones_is_late_by_any_time() {
        let (end_nanos, late) = (10, Ratio::per_million(333_333));
        let delay = Delay::Late { end_nanos, late, late_min_nanos: 200, late_end_nanos: 2_000 };
        let times: Vec<u64> = (0..10_000).map(|n| delay.draw(mix(7, 7, n))).collect();
        let late: Vec<u64> = times.iter().copied().filter(|time| 10 <= *time).collect();
        assert!((3_200..3_467).contains(&late.len()), "{}", late.len());
        assert!(late.iter().all(|time| (200..2_210).contains(time)));
        let mean = late.iter().sum::<u64>() / late.len() as u64;
        assert!((680..730).contains(&mean), "{mean}");
    }

    #[test]
    fn a_ratio_of_hundred_percent_always_hits() {
        assert!(Ratio::percent(100).is_hit(u64::MAX));
        assert!(!Ratio::percent(0).is_hit(0));
        assert_eq!(Ratio::percent(50).0, 1 << 31);
        assert_eq!(Ratio::percent(25).to_string(), "25.00%");
    }
}
