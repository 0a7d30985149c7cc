//! When to ask a model again: the only place where that is decided.

use std::time::Duration;

use crate::model::{ModelError, Retry};

/// Requests for one answer, the first one included.
pub(super) const TRIES: u32 = 5;

/// The first pause of our own choice; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// A server that wants a longer pause than this is not waited for: the session can be resumed then.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The same where another model can be asked instead.
const LONGEST_WITH_ANOTHER: Duration = Duration::from_secs(10);

/// How long to pause after try number `tries` (from 1) failed, or `None` when it is no use.
///
/// `jitter` is from 0 to 1, and spreads our own pauses by a fifth up and down, so that many clients of a server
/// that was down do not come back at once. `another` is whether another model can be asked instead.
pub(super) fn pause(error: &ModelError, tries: u32, jitter: f64, another: bool) -> Option<Duration> {
    if tries >= TRIES {
        return None;
    }
    let longest = if another { LONGEST_WITH_ANOTHER } else { LONGEST_PAUSE };
    match error.retry {
        Retry::No => None,
        Retry::After(time) => (time <= longest).then_some(time),
        Retry::Backoff => {
            let pause = FIRST_PAUSE * 2u32.saturating_pow(tries.saturating_sub(1));
            Some(pause.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0)))
        }
    }
}

/// What a person is told while waiting.
pub(super) fn note(error: &ModelError, tries: u32, pause: Duration) -> String {
    format!("{error}; trying again in {:.1} s ({} of {TRIES})", pause.as_secs_f64(), tries + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelErrorKind;

    fn error(retry: Retry) -> ModelError {
        ModelError { kind: ModelErrorKind::Server, message: "503 busy".into(), retry, usage: None }
    }

    #[test]
    fn pauses_double_until_the_tries_are_used_up() {
        let pauses: Vec<_> =
            (1..=TRIES).map(|tries| pause(&error(Retry::Backoff), tries, 0.5, false)).collect();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(pauses, [ms(250), ms(500), ms(1000), ms(2000), None]);
    }

    #[test]
    fn a_pause_is_spread_by_a_fifth() {
        let bounds = [0.0, 1.0].map(|jitter| pause(&error(Retry::Backoff), 1, jitter, false).unwrap());
        assert_eq!(bounds, [Duration::from_millis(200), Duration::from_millis(300)]);
    }

    #[test]
    fn the_server_is_waited_for_as_it_says_but_not_for_hours() {
        let after = |secs, another| pause(&error(Retry::After(Duration::from_secs(secs))), 1, 0.9, another);
        assert_eq!(after(7, false), Some(Duration::from_secs(7)));
        assert_eq!(after(7200, false), None);
        assert_eq!((after(7, true), after(60, true)), (Some(Duration::from_secs(7)), None));
    }

    #[test]
    fn what_can_not_help_is_not_tried() {
        assert_eq!(pause(&error(Retry::No), 1, 0.5, false), None);
    }

    #[test]
    fn the_note_has_the_servers_own_words() {
        let note = note(&error(Retry::Backoff), 1, Duration::from_millis(250));
        assert_eq!(note, "503 busy; trying again in 0.2 s (2 of 5)");
    }
}
