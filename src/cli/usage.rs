//! `agent usage`: what the sessions that are kept have used and cost.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use jiff::{civil::Date, tz::TimeZone};

use crate::protocol::{Usage, printable};

use super::{
    error::CliError,
    screen::short,
    start::{Start, now},
};

/// What to add up.
#[derive(Debug, Args)]
pub(super) struct UsageArgs {
    /// What to add it up by.
    #[arg(long, value_name = "WHAT", default_value = "day")]
    by: By,
    /// Only from this day on (2026-11-01), or of the last days (7d).
    #[arg(long, value_name = "DAY")]
    since: Option<String>,
    /// As JSON lines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Day,
    Model,
    Project,
}

pub(super) fn run(start: &Start, args: &UsageArgs) -> Result<ExitCode, CliError> {
    let zone = TimeZone::system();
    let today = now().to_zoned(zone.clone()).date();
    let since = args.since.as_deref().map(|text| day(text, today)).transpose().map_err(CliError::usage)?;
    let kept = start.home.data.join("usage.index");
    let all = start
        .sessions()
        .usage(&kept, &zone)
        .map_err(|error| CliError::failed(format!("the sessions can't be read: {error}")))?;
    let mut sums: BTreeMap<String, Usage> = BTreeMap::new();
    let mut total = Usage::default();
    for one in &all {
        for used in one.used.iter().filter(|used| since.is_none_or(|since| used.day >= since)) {
            let key = match args.by {
                By::Day => used.day.to_string(),
                By::Model => used.model.clone(),
                By::Project if args.json => one.workspace.to_string_lossy().into_owned(),
                By::Project => short(&one.workspace),
            };
            *sums.entry(key).or_default() += used.usage;
            total += used.usage;
        }
    }
    match print(args, &sums, &total) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::failed(error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn print(args: &UsageArgs, sums: &BTreeMap<String, Usage>, total: &Usage) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        let by = match args.by {
            By::Day => "day",
            By::Model => "model",
            By::Project => "project",
        };
        for (key, usage) in sums {
            let whole = usage.cost.is_some_and(|cost| cost.exactly() == cost);
            let line = serde_json::json!({
                by: key,
                "input": usage.input,
                "cached": usage.cached,
                "output": usage.output,
                "reasoning": usage.reasoning,
                "cost_usd": usage.cost,
                "cost_is_whole": whole,
            });
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    if sums.is_empty() {
        return writeln!(out, "Nothing was used.");
    }
    let rows: Vec<(String, &Usage)> = sums
        .iter()
        .map(|(key, usage)| (printable(key).into_owned(), usage))
        .chain((sums.len() > 1).then(|| ("together".to_owned(), total)))
        .collect();
    let width = rows.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    for (key, usage) in rows {
        let cost = usage.cost.map(|cost| format!("  {cost}")).unwrap_or_default();
        writeln!(
            out,
            "{key:width$}  {:>12} in ({:>12} cached)  {:>12} out{cost}",
            usage.input, usage.cached, usage.output
        )?;
    }
    if total.cost.is_some_and(|cost| cost.exactly() != cost) {
        writeln!(
            out,
            "+: more than that, as not all prices are known (config.toml: [models.\"NAME\"] price)"
        )?;
    }
    Ok(())
}

/// A day: by its date, or so many days back, today included.
fn day(text: &str, today: Date) -> Result<Date, String> {
    let wrong =
        || format!("`{text}` is no day; expected one such as 2026-11-01, or 7d for the last seven days");
    if let Some(days) = text.strip_suffix('d') {
        let days: i64 = days.parse().map_err(|_| wrong())?;
        let back =
            jiff::Span::new().try_days(days.checked_sub(1).ok_or_else(wrong)?.max(0)).map_err(|_| wrong())?;
        return today.checked_sub(back).map_err(|_| wrong());
    }
    text.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_date_or_so_many_days_back() {
        let today: Date = "2026-11-22".parse().unwrap();
        for (text, expected) in [("2026-11-01", "2026-11-01"), ("1d", "2026-11-22"), ("7d", "2026-11-16")] {
            assert_eq!(day(text, today), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in ["", "d", "yesterday", "11", "99999999999d"] {
            assert!(day(text, today).unwrap_err().contains("2026-11-01"), "{text}");
        }
    }
}
