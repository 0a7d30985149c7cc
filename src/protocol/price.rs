//! What tokens cost. Prices are the catalog's; what an answer cost is recorded with it, so that a later price changes
//! nothing that was paid.

use std::{fmt, ops::AddAssign};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Usage;

/// What a model's tokens cost, in US dollars per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// Of what is sent.
    #[schemars(with = "f64", range(min = 0))]
    pub input: Rate,
    /// Of what is sent and comes from the provider's cache; as `input` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>", range(min = 0))]
    pub cached: Option<Rate>,
    /// Of what is received, reasoning included.
    #[schemars(with = "f64", range(min = 0))]
    pub output: Rate,
}

/// Millionths of a US dollar per million tokens; written as dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate(u64);

/// An amount in US dollars, exact to a billionth; written as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Cost {
    nano_usd: u64,
    /// Something of unknown price is not in it.
    at_least: bool,
}

/// More than any model costs; keeps sums far from the end of the numbers.
const HIGHEST: f64 = 1_000_000.0;

impl Price {
    /// What this much use costs.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> Cost {
        let cached = usage.cached.min(usage.input);
        let part = |tokens: u64, rate: Rate| u128::from(tokens) * u128::from(rate.0);
        let pico = part(usage.input - cached, self.input)
            + part(cached, self.cached.unwrap_or(self.input))
            + part(usage.output, self.output);
        Cost { nano_usd: u64::try_from((pico + 500) / 1000).unwrap_or(u64::MAX), at_least: false }
    }
}

impl Cost {
    /// In billionths of a US dollar.
    #[must_use]
    pub fn nano_usd(self) -> u64 {
        self.nano_usd
    }

    /// The same, whatever is missing in it.
    #[must_use]
    pub fn exactly(self) -> Self {
        Self { at_least: false, ..self }
    }

    /// The same, with something missing whose price nobody knows.
    #[must_use]
    pub fn at_least(self) -> Self {
        Self { at_least: true, ..self }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.nano_usd = self.nano_usd.saturating_add(other.nano_usd);
        self.at_least = self.at_least || other.at_least;
    }
}

/// To the cent from a dollar on, more exactly below; with a plus where something is missing.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usd = f64::from(*self);
        match self.nano_usd {
            0 => f.write_str("$0.00")?,
            1..50_000 => f.write_str("<$0.0001")?,
            50_000..10_000_000 => write!(f, "${usd:.4}")?,
            10_000_000..1_000_000_000 => write!(f, "${usd:.3}")?,
            _ => write!(f, "${usd:.2}")?,
        }
        f.write_str(if self.at_least { "+" } else { "" })
    }
}

#[expect(clippy::cast_precision_loss, reason = "dollars need no more digits than a double has")]
impl From<Cost> for f64 {
    fn from(cost: Cost) -> Self {
        cost.nano_usd as Self / 1e9
    }
}

#[expect(clippy::cast_precision_loss, reason = "dollars need no more digits than a double has")]
impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        rate.0 as Self / 1e6
    }
}

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(usd: f64) -> Result<Self, Self::Error> {
        scaled(usd, 1e6).map(Self).ok_or_else(|| {
            format!("{usd} is no price: US dollars per million tokens, from 0 to {HIGHEST}, are wanted")
        })
    }
}

impl TryFrom<f64> for Cost {
    type Error = String;

    fn try_from(usd: f64) -> Result<Self, Self::Error> {
        let nano_usd = scaled(usd, 1e9).ok_or_else(|| format!("{usd} is no cost in US dollars"))?;
        Ok(Self { nano_usd, at_least: false })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was looked at")]
fn scaled(usd: f64, by: f64) -> Option<u64> {
    (0.0..=HIGHEST).contains(&usd).then(|| (usd * by).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Result<Price, toml::de::Error> {
        toml::from_str(text)
    }

    fn usage(input: u64, cached: u64, output: u64) -> Usage {
        Usage { input, cached, output, ..Usage::default() }
    }

    #[test]
    fn cached_tokens_cost_what_the_cache_costs() {
        let of = |text: &str, used| price(text).unwrap().of(&used).nano_usd();
        let whole = "input = 5\ncached = 0.5\noutput = 30";
        assert_eq!(of(whole, usage(1_000_000, 0, 0)), 5_000_000_000);
        assert_eq!(of(whole, usage(1_000_000, 1_000_000, 0)), 500_000_000);
        assert_eq!(of(whole, usage(1000, 400, 10)), 3_000_000 + 200_000 + 300_000);
        assert_eq!(of("input = 5\noutput = 30", usage(1000, 400, 0)), 5_000_000);
        assert_eq!(of("input = 0.0375\noutput = 0", usage(1, 0, 0)), 38, "37.5 billionths, rounded");
        // A provider that counts more from its cache than it was sent is not owed less than nothing.
        assert_eq!(of(whole, usage(10, 1000, 0)), 5_000);
        assert_eq!(of(whole, usage(u64::MAX, 0, u64::MAX)), u64::MAX);
    }

    #[test]
    fn what_is_no_price_is_refused_with_the_reason() {
        for wrong in ["-1", "nan", "inf", "1000001"] {
            let error = price(&format!("input = {wrong}\noutput = 1")).unwrap_err().to_string();
            assert!(error.contains("US dollars per million tokens"), "{wrong}: {error}");
        }
    }

    #[test]
    fn amounts_are_read_as_they_were_written() {
        for nano in [0, 1, 999, 123_456_789, 5_000_000_000, 900_000_000_000_001] {
            let cost = Cost { nano_usd: nano, at_least: false };
            let text = serde_json::to_string(&cost).unwrap();
            assert_eq!(serde_json::from_str::<Cost>(&text).unwrap(), cost, "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_as_exactly_as_they_matter() {
        let shown = |nano_usd| Cost { nano_usd, at_least: false }.to_string();
        assert_eq!(shown(0), "$0.00");
        assert_eq!(shown(49_999), "<$0.0001");
        assert_eq!(shown(4_200_000), "$0.0042");
        assert_eq!(shown(123_400_000), "$0.123");
        assert_eq!(shown(1_999_000_000), "$2.00");
        assert_eq!(Cost { nano_usd: 1_500_000_000, at_least: true }.to_string(), "$1.50+");
    }

    #[test]
    fn a_sum_says_where_something_is_missing() {
        let priced =
            |input, nano_usd| Usage { cost: Some(Cost { nano_usd, at_least: false }), ..usage(input, 0, 0) };
        let sum = |parts: &[Usage]| {
            let mut all = Usage::default();
            parts.iter().for_each(|part| all += *part);
            all.cost.map(|cost| cost.to_string())
        };
        assert_eq!(sum(&[usage(5, 0, 0), usage(5, 0, 0)]), None);
        assert_eq!(sum(&[priced(5, 1_000_000_000), priced(5, 2_000_000_000)]).as_deref(), Some("$3.00"));
        assert_eq!(sum(&[priced(5, 1_000_000_000), usage(5, 0, 0)]).as_deref(), Some("$1.00+"));
        assert_eq!(sum(&[usage(5, 0, 0), priced(5, 1_000_000_000)]).as_deref(), Some("$1.00+"));
    }
}
