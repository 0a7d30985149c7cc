//! What a server says when it does not answer: its own words, and whether and when to ask again.
//!
//! Only classifies. Nobody waits or tries again here.

use std::time::Duration;

use reqwest::{StatusCode, header::HeaderMap};
use serde::Deserialize;
use serde_json::Value;

use super::{ModelError, ModelErrorKind as Kind, Retry, stream::Flow};

/// The most of a server's words that is shown.
const SHOWN: usize = 2048;

/// The longest delay that is believed.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What a server said about a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// A word for programs, such as `rate_limit_exceeded`.
    pub code: String,
    /// A sentence for people, free of control characters. May be empty.
    pub text: String,
}

/// The object that most servers put under `error`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    error: Value,
    message: Value,
    detail: Value,
    code: Value,
}

impl Words {
    /// Reads the body of a refusal: JSON in one of the usual shapes, or else plain text.
    #[must_use]
    pub fn of_body(bytes: &[u8]) -> Self {
        let words = match serde_json::from_slice::<Value>(bytes) {
            // Some gateways wrap the error in an array of one.
            Ok(Value::Array(mut all)) if !all.is_empty() => Self::of_json(all.swap_remove(0)),
            Ok(value) => Self::of_json(value),
            Err(_) => Self::default(),
        };
        match words.text.is_empty() {
            true => Self { text: printable(&String::from_utf8_lossy(bytes)), ..words },
            false => words,
        }
    }

    /// Reads an error object, or an object that holds one.
    #[must_use]
    pub fn of_json(value: Value) -> Self {
        let Ok(body) = serde_json::from_value::<Body>(value) else { return Self::default() };
        let text = [&body.error["message"], &body.error, &body.message, &body.detail, &body.detail[0]["msg"]]
            .into_iter()
            .find_map(Value::as_str)
            .unwrap_or_default();
        // A number is the HTTP status once more, and says less than the type.
        let code = [&body.error["code"], &body.error["type"], &body.code]
            .into_iter()
            .find_map(Value::as_str)
            .unwrap_or_default();
        Self { code: printable(code), text: printable(text) }
    }

    /// Whether the conversation was too long, by code or by one of the well-known sentences.
    fn about_context(&self) -> bool {
        const SENTENCES: [&str; 7] = [
            "maximum context length",
            "context window",
            "context length",
            "context size",
            "prompt is too long",
            "input is too long",
            "input token count",
        ];
        let text = self.text.to_ascii_lowercase();
        matches!(&*self.code, "context_length_exceeded" | "exceed_context_size_error")
            || SENTENCES.iter().any(|sentence| text.contains(sentence))
    }

    /// Whether only money, and not time, will help.
    fn about_quota(&self) -> bool {
        matches!(
            &*self.code,
            "insufficient_quota"
                | "billing_hard_limit_reached"
                | "billing_not_active"
                | "usage_limit_reached"
                | "usage_not_included"
        )
    }

    fn after(&self, what: &str) -> String {
        match (&*self.text, &*self.code) {
            ("", "") => what.to_owned(),
            ("", code) => format!("{what}: {code}"),
            (text, _) => format!("{what}: {text}"),
        }
    }
}

/// What an HTTP status other than success means.
#[must_use]
pub fn of_status(
    host: &str,
    status: StatusCode,
    headers: &HeaderMap,
    words: &Words,
    now: jiff::Timestamp,
) -> ModelError {
    let error = |kind, what: &str| ModelError::new(kind, words.after(&format!("{host} {what} ({status})")));
    let patient = |error: ModelError| match delay(headers, &words.text, now) {
        Some(time) => error.with_retry(Retry::After(time.min(LONGEST))),
        None => error,
    };
    match status.as_u16() {
        401 | 403 => error(Kind::Auth, "refused the key"),
        429 if words.about_quota() => {
            error(Kind::RateLimit, "says that the account's quota is used up").with_retry(Retry::No)
        }
        429 => patient(error(Kind::RateLimit, "asks for fewer requests")),
        400 | 413 | 422 if words.about_context() => {
            error(Kind::ContextWindow, "finds the conversation too long for the model")
        }
        404 => error(Kind::Request, "knows no such model or address"),
        408 | 409 | 425 => error(Kind::Server, "could not answer in time"),
        500..=599 => patient(error(Kind::Server, "failed")),
        300..=399 => error(Kind::Request, "answers from another address; set it as `base_url`"),
        _ => error(Kind::Request, "refused the request"),
    }
}

/// What a failure means that came as an event inside an answer.
#[must_use]
pub fn of_event(host: &str, words: &Words) -> ModelError {
    let error = |kind, what: &str| ModelError::new(kind, words.after(&format!("{host} {what}")));
    match &*words.code {
        _ if words.about_quota() => {
            error(Kind::RateLimit, "says that the account's quota is used up").with_retry(Retry::No)
        }
        "rate_limit_exceeded" | "rate_limit_error" | "too_many_requests" => {
            let error = error(Kind::RateLimit, "asks for fewer requests");
            match named_delay(&words.text) {
                Some(time) => error.with_retry(Retry::After(time.min(LONGEST))),
                None => error,
            }
        }
        "invalid_api_key" | "authentication_error" | "permission_error" => {
            error(Kind::Auth, "refused the key")
        }
        _ if words.about_context() => {
            error(Kind::ContextWindow, "finds the conversation too long for the model")
        }
        ""
        | "server_error"
        | "internal_error"
        | "internal_server_error"
        | "api_error"
        | "timeout"
        | "server_is_overloaded"
        | "overloaded"
        | "overloaded_error"
        | "slow_down"
        | "service_unavailable"
        | "vector_store_timeout" => error(Kind::Server, "broke off its answer"),
        _ => error(Kind::Request, "refused the request"),
    }
}

/// Events of an answer that can't be read.
#[derive(Debug, Default)]
pub struct Broken {
    count: u32,
    first: String,
}

impl Broken {
    /// So many, and nothing good is expected any more.
    const LIMIT: u32 = 20;

    /// Takes one in. Whether there are too many.
    pub fn add(&mut self, data: &str) -> bool {
        self.count += 1;
        if self.first.is_empty() {
            let start: String = data.chars().take(200).collect();
            self.first = printable(&start);
        }
        self.count >= Self::LIMIT
    }

    /// Takes one in from a host whose events hold what nothing says once more.
    ///
    /// # Errors
    /// When there are too many.
    pub fn pass(&mut self, host: &str, data: &str) -> Result<Flow, ModelError> {
        if self.add(data) { Err(self.lost(host)) } else { Ok(Flow::More) }
    }

    /// Events could not be read, and what they held is missing.
    #[must_use]
    pub fn lost(&self, host: &str) -> ModelError {
        garbage(host, &format!("what can't be read: {}", self.first))
    }

    /// How an answer ended that has no end.
    #[must_use]
    pub fn cut(&self, host: &str) -> ModelError {
        if self.count == 0 { cut(host) } else { self.lost(host) }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The beginning of the first, fit for one line.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.first
    }
}

/// An answer that breaks the rules of its wire.
#[must_use]
pub fn garbage(host: &str, what: &str) -> ModelError {
    ModelError::new(Kind::Garbage, format!("{host} sent {what}"))
}

/// An answer that its server ended early, for a reason that it gives.
#[must_use]
pub fn incomplete(host: &str, why: &str) -> ModelError {
    ModelError::new(Kind::Incomplete, format!("the answer of {host} is incomplete: {why}"))
}

/// An answer that ended before it was complete.
#[must_use]
pub fn cut(host: &str) -> ModelError {
    ModelError::new(Kind::Network, format!("the answer of {host} ended before it was complete"))
}

/// The time that a server wants to be left alone, from the headers and words of a refusal.
fn delay(headers: &HeaderMap, text: &str, now: jiff::Timestamp) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let exact = header("retry-after-ms").and_then(|ms| seconds(ms.parse::<f64>().ok()? / 1000.0));
    exact
        .or_else(|| header("retry-after").and_then(|value| moment(value, now)))
        .or_else(|| named_delay(text))
        .or_else(|| {
            // Only what is used up has to be waited for.
            let spent = ["requests", "tokens"].into_iter().filter(|kind| {
                header(&format!("x-ratelimit-remaining-{kind}")).is_some_and(|left| left == "0")
            });
            spent
                .filter_map(|kind| moment(header(&format!("x-ratelimit-reset-{kind}"))?, now))
                .max()
                .or_else(|| header("x-ratelimit-reset").and_then(|value| moment(value, now)))
        })
}

/// Seconds, a span such as `6m0.5s`, an HTTP date or a Unix time, as the time from now.
fn moment(value: &str, now: jiff::Timestamp) -> Option<Duration> {
    /// Larger numbers are moments, not spans: 1,000,000,000 seconds are 31 years.
    const MOMENTS: f64 = 1e9;
    if let Ok(number) = value.parse::<f64>() {
        let number = if number >= MOMENTS * 1000.0 { number / 1000.0 } else { number };
        let now = now.as_millisecond() as f64 / 1000.0;
        return seconds(if number >= MOMENTS { number - now } else { number });
    }
    if let Ok(date) = jiff::fmt::rfc2822::parse(value) {
        return Some(Duration::try_from(date.timestamp().duration_since(now)).unwrap_or_default());
    }
    span(value)
}

/// The delay in a sentence such as `Please try again in 1.5s.`
fn named_delay(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    ["try again in ", "retry after ", "retry in "]
        .iter()
        .find_map(|before| text.split_once(before).and_then(|(_, rest)| span(rest)))
}

/// A sum of numbers with units at the beginning of a text: `1h2m3s`, `20ms`, `2 seconds`.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = None;
    loop {
        let number = rest.trim_start_matches(' ');
        let digits = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let (number, unit) = number.split_at(digits);
        let Ok(count) = number.parse::<f64>() else { return sum };
        let unit = unit.trim_start_matches(' ');
        let letters = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at(letters);
        let scale = match unit {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            _ => return sum,
        };
        sum = sum.unwrap_or(Duration::ZERO).checked_add(seconds(count * scale)?);
        rest = after;
    }
}

fn seconds(count: f64) -> Option<Duration> {
    // NaN is not below zero, and is refused by the conversion.
    Duration::try_from_secs_f64(if count < 0.0 { 0.0 } else { count }).ok()
}

/// Foreign text made fit for one line: no control characters, no direction marks, not too long.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(SHOWN));
    for c in text.trim().chars() {
        if out.len() >= SHOWN {
            out.push('…');
            break;
        }
        match c {
            _ if c.is_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {}
            _ if c.is_control() => {}
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> jiff::Timestamp {
        "1994-11-06T08:49:00Z".parse().unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn classify(status: u16, pairs: &[(&'static str, &str)], body: &str) -> ModelError {
        let status = StatusCode::from_u16(status).unwrap();
        of_status("example.com", status, &headers(pairs), &Words::of_body(body.as_bytes()), now())
    }

    #[test]
    fn a_status_says_what_went_wrong_and_whether_to_ask_again() {
        let quota = r#"{"error":{"message":"no money","code":"insufficient_quota"}}"#;
        let long = r#"{"error":{"message":"too much","code":"context_length_exceeded"}}"#;
        let sentence = r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#;
        let table = [
            (401, "", Kind::Auth, Retry::No),
            (403, "", Kind::Auth, Retry::No),
            (302, "", Kind::Request, Retry::No),
            (400, "", Kind::Request, Retry::No),
            (402, "", Kind::Request, Retry::No),
            (404, "", Kind::Request, Retry::No),
            (413, "", Kind::Request, Retry::No),
            (422, "", Kind::Request, Retry::No),
            (400, long, Kind::ContextWindow, Retry::No),
            (400, sentence, Kind::ContextWindow, Retry::No),
            (408, "", Kind::Server, Retry::Backoff),
            (409, "", Kind::Server, Retry::Backoff),
            (429, "", Kind::RateLimit, Retry::Backoff),
            (429, quota, Kind::RateLimit, Retry::No),
            (500, "", Kind::Server, Retry::Backoff),
            (503, "", Kind::Server, Retry::Backoff),
            (529, "", Kind::Server, Retry::Backoff),
        ];
        for (status, body, kind, retry) in table {
            let error = classify(status, &[], body);
            assert_eq!((error.kind, error.retry), (kind, retry), "{status} {body}");
        }
    }

    #[test]
    fn a_server_names_its_delay_in_many_ways() {
        const SAY: &str =
            r#"{"error":{"message":"Limit reached. Please try again in 1.5s. Visit the docs."}}"#;
        type Row = (&'static [(&'static str, &'static str)], &'static str, u64);
        let table: &[Row] = &[
            (&[("retry-after", "2")], "", 2000),
            (&[("retry-after", "0.25")], "", 250),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], "", 37_000),
            (&[("retry-after", "Sun, 06 Nov 1994 08:40:00 GMT")], "", 0),
            (&[("retry-after-ms", "150"), ("retry-after", "1")], "", 150),
            (&[("retry-after", "-5")], "", 0),
            (&[], SAY, 1500),
            (&[], "Please try again in 20ms", 20),
            (&[], "try again in 1m30.5s", 90_500),
            (&[], "try again in 2 seconds", 2000),
            (&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "6m0s")], "", 360_000),
            (&[("x-ratelimit-reset", "784111780")], "", 86_400_000),
            (&[("x-ratelimit-reset", "12")], "", 12_000),
        ];
        for (pairs, body, ms) in table {
            let error = classify(429, pairs, body);
            assert_eq!(error.retry, Retry::After(Duration::from_millis(*ms)), "{pairs:?} {body}");
        }
    }

    #[test]
    fn a_moment_in_unix_time_is_a_delay_from_now() {
        let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let soon = now.as_second() + 9;
        assert_eq!(moment(&soon.to_string(), now), Some(Duration::from_secs(9)));
        assert_eq!(moment(&(soon * 1000).to_string(), now), Some(Duration::from_secs(9)));
    }

    #[test]
    fn nonsense_for_a_delay_is_no_delay() {
        for value in ["", "soon", "1.2.3", "NaN", "inf", "1e400", "5 parsecs", "-"] {
            let error = classify(429, &[("retry-after", value)], "");
            assert_eq!(error.retry, Retry::Backoff, "{value}");
        }
    }

    #[test]
    fn limits_that_are_not_used_up_are_not_waited_for() {
        let error = classify(
            429,
            &[("x-ratelimit-remaining-tokens", "50"), ("x-ratelimit-reset-tokens", "6m0s")],
            "",
        );
        assert_eq!(error.retry, Retry::Backoff);
    }

    #[test]
    fn the_servers_words_are_found_in_every_usual_shape() {
        let table = [
            (r#"{"error":{"message":"m","code":"c","type":"t"}}"#, "c", "m"),
            (r#"{"error":{"message":"m","code":null,"type":"t"}}"#, "t", "m"),
            (r#"{"error":{"message":"m","code":400,"type":"t"}}"#, "t", "m"),
            (r#"[{"error":{"message":"m"}}]"#, "", "m"),
            (r#"{"error":"m"}"#, "", "m"),
            (r#"{"message":"m","code":"c"}"#, "c", "m"),
            (r#"{"detail":"m"}"#, "", "m"),
            (r#"{"detail":[{"msg":"m"}]}"#, "", "m"),
            ("<h1>502</h1>\r\n\r\nBad\u{1b}[31m\u{202e} gateway", "", "<h1>502</h1> Bad[31m gateway"),
            (r#"{"odd":1}"#, "", r#"{"odd":1}"#),
            ("", "", ""),
        ];
        for (body, code, text) in table {
            let words = Words::of_body(body.as_bytes());
            assert_eq!((&*words.code, &*words.text), (code, text), "{body}");
        }
    }

    #[test]
    fn a_long_page_is_cut() {
        let words = Words::of_body("é".repeat(5000).as_bytes());
        assert!(words.text.len() <= SHOWN + 4 && words.text.ends_with('…'));
    }
}
