//! Words of the text: those of readline (letters and digits), and those of vi (also runs of signs).

use super::buffer::Fragment;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Blank,
    Word,
    Sign,
    Element,
    Edge,
}

impl Fragment {
    fn class(&self, at: usize) -> Class {
        if self.element_over(at).is_some() {
            return Class::Element;
        }
        match self.text.get(at..).and_then(|rest| rest.chars().next()) {
            None => Class::Edge,
            Some(char) if char.is_whitespace() => Class::Blank,
            Some(char) if char.is_alphanumeric() || char == '_' => Class::Word,
            Some(_) => Class::Sign,
        }
    }

    /// The class for vi; `big` words end only at blanks.
    fn vi_class(&self, at: usize, big: bool) -> Class {
        match self.class(at) {
            Class::Sign if big => Class::Word,
            class => class,
        }
    }

    pub fn word_right(&self, at: usize) -> usize {
        let mut at = at;
        while matches!(self.class(at), Class::Blank | Class::Sign) {
            at = self.next(at);
        }
        if self.class(at) == Class::Element {
            return self.next(at);
        }
        while self.class(at) == Class::Word {
            at = self.next(at);
        }
        at
    }

    pub fn word_left(&self, at: usize) -> usize {
        let mut at = at;
        while at > 0 && matches!(self.class(self.prev(at)), Class::Blank | Class::Sign) {
            at = self.prev(at);
        }
        if at > 0 && self.class(self.prev(at)) == Class::Element {
            return self.prev(at);
        }
        while at > 0 && self.class(self.prev(at)) == Class::Word {
            at = self.prev(at);
        }
        at
    }

    /// Back over blanks, then over what is not blank.
    pub fn blank_word_left(&self, at: usize) -> usize {
        let mut at = at;
        while at > 0 && self.class(self.prev(at)) == Class::Blank {
            at = self.prev(at);
        }
        if at > 0 && self.class(self.prev(at)) == Class::Element {
            return self.prev(at);
        }
        while at > 0 && matches!(self.class(self.prev(at)), Class::Word | Class::Sign) {
            at = self.prev(at);
        }
        at
    }

    fn is_newline(&self, at: usize) -> bool {
        self.text.as_bytes().get(at) == Some(&b'\n')
    }

    /// `w`: the next start of a word; an empty line is a word.
    pub fn vi_next(&self, at: usize, big: bool) -> usize {
        let mut at = at;
        match self.vi_class(at, big) {
            Class::Element => at = self.next(at),
            Class::Blank | Class::Edge => {}
            class => {
                while self.vi_class(at, big) == class {
                    at = self.next(at);
                }
            }
        }
        while self.vi_class(at, big) == Class::Blank {
            let line = self.is_newline(at);
            at = self.next(at);
            if line && self.is_newline(at) {
                break;
            }
        }
        at
    }

    /// `e`: the last cluster of a word, further on.
    pub fn vi_end(&self, at: usize, big: bool) -> usize {
        let mut at = self.next(at);
        while self.vi_class(at, big) == Class::Blank {
            at = self.next(at);
        }
        match self.vi_class(at, big) {
            Class::Edge => self.prev(at),
            _ => self.vi_last(at, big),
        }
    }

    /// The last cluster of the word that `at` is in.
    pub fn vi_last(&self, at: usize, big: bool) -> usize {
        let mut at = at;
        let class = self.vi_class(at, big);
        while class != Class::Element && self.vi_class(self.next(at), big) == class {
            at = self.next(at);
        }
        at
    }

    /// The first cluster of the word that `at` is in.
    pub fn vi_first(&self, at: usize, big: bool) -> usize {
        let mut at = at;
        let class = self.vi_class(at, big);
        while at > 0 && class != Class::Element && self.vi_class(self.prev(at), big) == class {
            at = self.prev(at);
        }
        at
    }

    /// `b`: the start of a word, further back.
    pub fn vi_back(&self, at: usize, big: bool) -> usize {
        let mut at = self.prev(at);
        while at > 0 && self.vi_class(at, big) == Class::Blank {
            if self.is_newline(at) && self.is_newline(self.prev(at)) {
                return at;
            }
            at = self.prev(at);
        }
        self.vi_first(at, big)
    }

    /// The first place of a line that is not blank.
    pub fn first_sign(&self, at: usize) -> usize {
        let start = self.line_start(at);
        let line = self.slice(start..self.line_end(at));
        start + line.find(|char: char| !char.is_whitespace()).unwrap_or(line.len())
    }

    /// Whether a cluster is blank and no line end.
    pub fn is_blank(&self, at: usize) -> bool {
        self.class(at) == Class::Blank && !self.is_newline(at)
    }
}
