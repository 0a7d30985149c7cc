//! When a look at a process ends. Pure: it is told the time.

use std::time::Duration;

/// How long an interrupted call waits for the end of what it killed, so that its last words are heard.
const LAST_WORDS: Duration = Duration::from_millis(80);

/// What is known in a moment of a look. Times are counted from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub now: Duration,
    /// How long to look at most.
    pub wait: Duration,
    /// The process has ended, and its output is there.
    pub ended: bool,
    /// When the call was interrupted.
    pub cancelled: Option<Duration>,
    /// An interrupt also ends the process.
    pub kills: bool,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The look is over.
    Over,
    /// Go on looking, until this time at most.
    Until(Duration),
}

/// Decides whether to look on.
pub(super) fn judge(moment: Moment) -> Verdict {
    let until = match moment.cancelled {
        Some(at) if moment.kills => at + LAST_WORDS,
        Some(at) => at,
        None => moment.wait,
    };
    if moment.ended || moment.now >= until { Verdict::Over } else { Verdict::Until(until) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_ends_with_the_process_the_time_or_the_call() {
        let ms = Duration::from_millis;
        let start = Moment { now: ms(0), wait: ms(1000), ended: false, cancelled: None, kills: true };
        let cancelled = Moment { now: ms(300), cancelled: Some(ms(300)), ..start };
        for (moment, expected) in [
            (start, Verdict::Until(ms(1000))),
            (Moment { now: ms(999), ..start }, Verdict::Until(ms(1000))),
            (Moment { now: ms(1000), ..start }, Verdict::Over),
            (Moment { now: ms(5), ended: true, ..start }, Verdict::Over),
            (Moment { wait: ms(0), ..start }, Verdict::Over),
            (cancelled, Verdict::Until(ms(380))),
            (Moment { now: ms(380), ..cancelled }, Verdict::Over),
            (Moment { ended: true, ..cancelled }, Verdict::Over),
            (Moment { kills: false, ..cancelled }, Verdict::Over),
        ] {
            assert_eq!(judge(moment), expected, "{moment:?}");
        }
    }
}
