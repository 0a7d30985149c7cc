//! Where the motions and the text objects of vim lead. Nothing is changed here.

use super::{Composer, Motion, Operator, Seek};

impl Composer {
    /// Where a key moves to. The outer option: whether the key is a motion; the inner: whether it gets anywhere.
    pub(super) fn motion(&self, char: char, count: Option<usize>) -> Option<Option<Motion>> {
        let body = self.buffer.body();
        let at = self.buffer.cursor();
        let times = count.unwrap_or(1);
        let big = char.is_uppercase();
        let repeat = |step: &dyn Fn(usize) -> usize| (0..times).fold(at, |at, _| step(at));
        let operator = self.vim.as_ref().and_then(|vim| vim.operator).map(|(operator, _)| operator);
        let motion = match char {
            'h' => Motion::To(repeat(&|at| if at > body.line_start(at) { body.prev(at) } else { at })),
            'l' | ' ' => Motion::To(repeat(&|at| if at < body.line_end(at) { body.next(at) } else { at })),
            'w' | 'W' => match operator {
                // `cw` leaves the blanks behind the word.
                Some(Operator::Change) if !body.is_blank(at) && at < body.line_end(at) => {
                    let first = body.vi_last(at, big);
                    Motion::Onto((1..times).fold(first, |at, _| body.vi_end(at, big)))
                }
                Some(_) => Motion::To(self.within_line(at, repeat(&|at| body.vi_next(at, big)))),
                None => Motion::To(repeat(&|at| body.vi_next(at, big))),
            },
            'b' | 'B' => Motion::To(repeat(&|at| body.vi_back(at, big))),
            'e' | 'E' => Motion::Onto(repeat(&|at| body.vi_end(at, big))),
            '0' => Motion::To(body.line_start(at)),
            '^' | '_' => Motion::To(body.first_sign(at)),
            '$' => Motion::To(body.line_end((1..times).fold(at, |at, _| body.next(body.line_end(at))))),
            'G' => self.line_motion(count.unwrap_or(usize::MAX)),
            'j' if operator.is_some() => return Some(self.line_below(times).map(Motion::Lines)),
            'k' if operator.is_some() => return Some(self.line_above(times).map(Motion::Lines)),
            ';' | ',' => {
                let sought = self.vim.as_ref().and_then(|vim| vim.sought);
                return Some(sought.and_then(|(seek, wanted)| {
                    let seek = Seek { back: seek.back ^ (char == ','), ..seek };
                    self.seek(seek, wanted, times, true)
                }));
            }
            _ => return None,
        };
        Some(Some(motion))
    }

    /// An operator with `w` does not take the end of the last line that it goes over.
    pub(super) fn within_line(&self, from: usize, to: usize) -> usize {
        let part = self.buffer.body().slice(from..to);
        let last = part.trim_end().len();
        let newline = part.get(last..).and_then(|blanks| blanks.find('\n'));
        newline.map_or(to, |newline| from + last + newline)
    }

    pub(super) fn line_motion(&self, number: usize) -> Motion {
        let text = self.buffer.text();
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Motion::Lines(starts.take(number.max(1)).last().unwrap_or(0))
    }

    pub(super) fn line_below(&self, times: usize) -> Option<usize> {
        let body = self.buffer.body();
        (0..times).try_fold(self.buffer.cursor(), |at, _| {
            let end = body.line_end(at);
            (end < body.text.len()).then_some(end + 1)
        })
    }

    pub(super) fn line_above(&self, times: usize) -> Option<usize> {
        let body = self.buffer.body();
        (0..times).try_fold(self.buffer.cursor(), |at, _| body.line_start(at).checked_sub(1))
    }

    /// `dd`, `3yy`: as many lines as there are.
    pub(super) fn lines_down(&self, times: usize) -> Motion {
        let fewer = (0..times).rev().find_map(|times| self.line_below(times));
        Motion::Lines(fewer.unwrap_or(self.buffer.cursor()))
    }

    pub(super) fn seek(&self, seek: Seek, wanted: char, times: usize, again: bool) -> Option<Motion> {
        let body = self.buffer.body();
        let at = self.buffer.cursor();
        let is = |at: usize| body.text.get(at..).is_some_and(|rest| rest.starts_with(wanted));
        let mut here = at;
        if seek.back {
            let start = body.line_start(at);
            for round in 0..times {
                let mut next = (here > start).then(|| body.prev(here))?;
                if seek.till && again && round == 0 && is(next) {
                    next = (next > start).then(|| body.prev(next))?;
                }
                while !is(next) {
                    next = (next > start).then(|| body.prev(next))?;
                }
                here = next;
            }
            return Some(Motion::To(if seek.till { body.next(here) } else { here }));
        }
        let end = body.line_end(at);
        for round in 0..times {
            let mut next = body.next(here);
            if seek.till && again && round == 0 && is(next) {
                next = body.next(next);
            }
            while next < end && !is(next) {
                next = body.next(next);
            }
            here = (next < end).then_some(next)?;
        }
        Some(Motion::Onto(if seek.till { body.prev(here) } else { here }))
    }

    /// `iw`, `aw`: the word under the cursor, with the blanks behind it or before it.
    pub(super) fn word_object(&self, char: char, around: bool) -> Option<std::ops::Range<usize>> {
        if !matches!(char, 'w' | 'W') {
            return None;
        }
        let big = char == 'W';
        let body = self.buffer.body();
        let at = self.buffer.cursor();
        let (low, high) = (body.line_start(at), body.line_end(at));
        if at == high {
            return (!around).then_some(at..at);
        }
        let mut start = body.vi_first(at, big).max(low);
        let mut end = body.next(body.vi_last(at, big)).min(high);
        if around {
            let word_end = end;
            while end < high && body.is_blank(end) {
                end = body.next(end);
            }
            while end == word_end && start > low && body.is_blank(body.prev(start)) {
                start = body.prev(start);
            }
        }
        Some(start..end)
    }
}
