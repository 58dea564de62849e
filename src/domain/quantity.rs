//! Quantities of service: exact inside, rounded half away from zero at the edge (R27).

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use chrono::TimeDelta;

use super::instant::micros;

/// A number of visits or hours, exact.
///
/// Counted in parts of a unit so fine that every quantity there can be is a whole number of them:
/// an hour has 3.6 · 10⁹ microseconds, a plan states at most six decimals, and a part delivered
/// visit takes quarters or thirds of either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i128);

const MICROS_PER_HOUR: i128 = 3_600_000_000;
/// Parts of one unit: microseconds of an hour, in twelfths (for 1 to 4 carers).
const PARTS: i128 = MICROS_PER_HOUR * 12;
/// Most decimals that a plan may state.
const DECIMALS_MAX: usize = 6;
/// Largest quantity that a plan may state for one visit.
const STATED_MAX: i128 = 1_000_000;

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a quantity is a decimal number from 0 to {STATED_MAX} with at most {DECIMALS_MAX} decimals, like 1 or 0.75"
)]
pub struct BadQuantity;

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One unit.
    pub const ONE: Self = Self(PARTS);

    /// So many parts of a unit: what [`Quantity::parts`] gives.
    #[must_use]
    pub const fn from_parts(parts: i128) -> Self {
        Self(parts)
    }

    /// The quantity, exact, in parts of a unit.
    #[must_use]
    pub const fn parts(self) -> i128 {
        self.0
    }

    /// A length of time in hours.
    #[must_use]
    pub fn hours(length: TimeDelta) -> Self {
        Self(i128::from(micros(length)) * (PARTS / MICROS_PER_HOUR))
    }

    /// `present ÷ required` of it (R27). `required` is 1 to 4.
    #[must_use]
    pub fn part(self, present: u8, required: u8) -> Self {
        Self(self.0 * i128::from(present) / i128::from(required.max(1)))
    }
}

impl Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(quantities: I) -> Self {
        quantities.fold(Self::ZERO, Add::add)
    }
}

/// Writes two decimals, rounded half away from zero.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hundredths(self.0, PARTS))
    }
}

impl FromStr for Quantity {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS_MAX || whole.len() > 7 {
            return Err(BadQuantity);
        }
        let number = |part: &str| part.parse::<i128>().map_err(|_| BadQuantity);
        let scale = 10_i128.pow(u32::try_from(decimals.len()).map_err(|_| BadQuantity)?);
        let quantity = Self(number(whole)? * PARTS + number(decimals)? * PARTS / scale);
        if quantity.0 > STATED_MAX * PARTS { Err(BadQuantity) } else { Ok(quantity) }
    }
}

impl Quantity {
    /// The exact decimal text that reads back as the same quantity, if it came from a text.
    #[must_use]
    pub fn to_exact(self) -> String {
        let millionths = self.0 * 1_000_000 / PARTS;
        let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// `value ÷ unit` with two decimals, rounded half away from zero.
#[must_use]
pub fn hundredths(value: i128, unit: i128) -> String {
    let rounded = round_half_away(value * 100, unit);
    let sign = if rounded < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", rounded.abs() / 100, rounded.abs() % 100)
}

/// `value ÷ unit` to the nearest whole number, halves away from zero. `unit` is positive.
#[must_use]
pub fn round_half_away(value: i128, unit: i128) -> i128 {
    let rounded = (value.abs() * 2 + unit) / (2 * unit);
    if value < 0 { -rounded } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact_inside_and_rounded_half_away_from_zero_at_the_edge() {
        let thirds: Quantity = (0..3).map(|_| Quantity::ONE.part(1, 3)).sum();
        assert_eq!(thirds, Quantity::ONE);
        for (text, shown) in [
            ("1", "1.00"),
            ("0.005", "0.01"),
            ("0.004999", "0.00"),
            ("2.675", "2.68"),
            ("0", "0.00"),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap().to_string(), shown, "{text}");
        }
        assert_eq!((Quantity::ZERO - "0.005".parse().unwrap()).to_string(), "-0.01");
        assert_eq!(Quantity::hours(TimeDelta::minutes(20)).to_string(), "0.33");
        assert_eq!(Quantity::hours(TimeDelta::seconds(18)).to_string(), "0.01"); // 0.005 h
    }

    #[test]
    fn what_is_a_quantity() {
        for text in ["", ".5", "1.", "-1", "+1", "1e3", "0.0000001", "1000001", "1,5", "NaN"] {
            assert_eq!(text.parse::<Quantity>(), Err(BadQuantity), "{text:?}");
        }
        for text in ["1", "0.75", "1000000", "0.000001", "12.5"] {
            assert_eq!(text.parse::<Quantity>().unwrap().to_exact(), text);
        }
    }
}
