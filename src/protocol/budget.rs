//! What a session may spend before it stops.

use jiff::{civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{Cost, Time};

/// What a session may spend, all of it together. Where nothing is said there is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_usd: Option<Cost>,
    /// Tokens, sent and received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Times that the model is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// At its end the turn ends, and what runs is stopped. Otherwise what runs comes to its end, and a person is asked.
    #[serde(default, skip_serializing_if = "super::item::is_false")]
    pub hard: bool,
}

/// The part of a budget that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Usd,
    Tokens,
    Turns,
    Deadline,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// 1234567 as `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number as people write it: `50000`, `50_000`, `50k`, `1.5M`.
///
/// # Errors
/// When it is none, or not more than 0.
pub fn count(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no number; expected one such as 50000, 50k or 1.5M");
    let plain = text.trim().replace('_', "");
    let (digits, times) = match plain.char_indices().last() {
        Some((at, 'k' | 'K')) => (plain.get(..at), 1e3),
        Some((at, 'm' | 'M')) => (plain.get(..at), 1e6),
        _ => (Some(plain.as_str()), 1.0),
    };
    let number: f64 = digits.unwrap_or_default().parse().map_err(|_| wrong())?;
    let all = number * times;
    // Beyond this not every whole number is one that a double has.
    if !(1.0..=9e15).contains(&all) {
        return Err(wrong());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was looked at just above"
    )]
    Ok(all.round() as u64)
}

/// A duration as people write it, in seconds: `90s`, `30m`, `1h 30m`.
///
/// # Errors
/// When it is none, or shorter than a second.
pub fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no duration; expected one such as 90s, 30m or 1h30m");
    let parsed: jiff::SignedDuration = text.trim().parse().map_err(|_| wrong())?;
    u64::try_from(parsed.as_secs()).ok().filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

/// Seconds as people read them.
#[must_use]
pub fn span(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let parts = [(hours, "h"), (minutes, "min"), (rest, "s")];
    let words: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count} {unit}")).collect();
    if words.is_empty() { "0 s".to_owned() } else { words.join(" ") }
}

/// A moment: after a duration from `now`, at a time of the day (the next one), or a date and a time.
///
/// # Errors
/// With a sentence for the person, when it is none.
pub fn deadline(text: &str, now: Time, zone: TimeZone) -> Result<Time, String> {
    let text = text.trim();
    let wrong = || {
        format!(
            "`{text}` is no deadline; expected a duration (30m, 1h30m), a time (18:30) or a date and a time"
        )
    };
    if let Ok(seconds) = seconds(text) {
        let seconds = i64::try_from(seconds).map_err(|_| wrong())?;
        return now.checked_add(jiff::SignedDuration::from_secs(seconds)).map_err(|_| wrong());
    }
    if let Ok(moment) = text.parse::<Time>() {
        return Ok(moment);
    }
    if let (Ok(moment), true) = (text.parse::<civil::DateTime>(), text.contains(':')) {
        return moment.to_zoned(zone).map(|moment| moment.timestamp()).map_err(|_| wrong());
    }
    let time: civil::Time = text.parse().map_err(|_| wrong())?;
    let here = now.to_zoned(zone.clone());
    let at =
        |date: civil::Date| date.to_datetime(time).to_zoned(zone.clone()).map(|moment| moment.timestamp());
    let today = at(here.date()).map_err(|_| wrong())?;
    if today > now {
        return Ok(today);
    }
    here.date().tomorrow().and_then(at).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_written_in_groups() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (2_000_000, "2,000,000")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn numbers_and_durations_are_read_as_people_write_them() {
        for (text, expected) in [
            ("50000", Some(50_000)),
            ("50_000", Some(50_000)),
            ("50k", Some(50_000)),
            ("1.5M", Some(1_500_000)),
        ] {
            assert_eq!(count(text).ok(), expected, "{text}");
        }
        for text in ["", "k", "0", "-1", "many", "1e99", "NaN", "é"] {
            assert!(count(text).unwrap_err().contains("50k"), "{text}");
        }
        for (text, expected) in
            [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1h 30m", 5400), (" 2h ", 7200)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "30", "0s", "-5m", "soon", "10ms"] {
            assert!(seconds(text).unwrap_err().contains("1h30m"), "{text}");
        }
        assert_eq!([0, 59, 60, 5400, 3601].map(span), ["0 s", "59 s", "1 min", "1 h 30 min", "1 h 1 s"]);
    }

    #[test]
    fn what_a_newer_version_limits_is_no_limit_of_this_one() {
        let budget: Budget = serde_json::from_str(r#"{"max_usd":2.5,"max_sighs":3}"#).unwrap();
        assert_eq!(budget.max_usd.map(Cost::nano_usd), Some(2_500_000_000));
        assert_eq!(serde_json::to_string(&budget).unwrap(), r#"{"max_usd":2.5}"#);
        assert_eq!(serde_json::from_str::<Limit>(r#""sighs""#).unwrap(), Limit::Unknown);
    }

    #[test]
    fn a_deadline_is_a_duration_a_time_or_a_date() {
        let now: Time = "2026-11-22T10:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (text, expected) in [
            ("30m", "2026-11-22T10:30:00Z"),
            ("1h 30m", "2026-11-22T11:30:00Z"),
            ("18:30", "2026-11-22T16:30:00Z"),
            ("11:00", "2026-11-23T09:00:00Z"),
            ("2026-11-24 08:00", "2026-11-24T06:00:00Z"),
            ("2026-11-24T08:00:00Z", "2026-11-24T08:00:00Z"),
        ] {
            assert_eq!(deadline(text, now, zone.clone()), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in ["", "soon", "30", "25:00", "2026-11-24"] {
            assert!(deadline(text, now, zone.clone()).unwrap_err().contains("expected a duration"), "{text}");
        }
    }
}
