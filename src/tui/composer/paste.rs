//! Pastes and images: what the terminal or the app hands in at once.

use std::path::{Path, PathBuf};

use super::{
    Composer, Reaction,
    buffer::{Fragment, Held},
    edit::Last,
    undo::Cause,
};

impl Composer {
    /// A paste that the terminal has marked as one. It never sends.
    pub fn on_paste(&mut self, text: &str) -> Reaction {
        self.burst.end();
        self.notice = None;
        if let Some(search) = &mut self.search {
            search.wanted.extend(text.chars().filter(|char| !char.is_control()).take(200));
            self.search_again();
            return Reaction::Consumed;
        }
        let asked = self.file_query().map(str::to_owned);
        // In a line for the shell, a path is a path.
        let shell = self.buffer.text().starts_with('!');
        let fragment = self.labels.pasted(text, !shell);
        self.put_in(fragment);
        self.refresh_popup();
        self.wanted_files(asked.as_deref()).unwrap_or(Reaction::Consumed)
    }

    /// An image that is not pasted as a path (from the clipboard): its label goes where the cursor is.
    pub fn attach_image(&mut self, path: PathBuf) {
        let typed = path.to_string_lossy().into_owned();
        let label = self.labels.image(path, typed);
        self.put_in(label);
        self.insert(" ");
        self.popup = None;
    }

    fn put_in(&mut self, fragment: Fragment) {
        let at = self.buffer.cursor();
        self.undo.close();
        self.edit(at..at, fragment, Cause::Other);
        self.last = Last::Other;
    }

    /// The images in the text: after a paste the app looks whether they exist.
    #[must_use]
    pub fn images(&self) -> Vec<PathBuf> {
        let images = self.buffer.body().elements.iter().filter_map(|element| match &element.held {
            Held::Image { path, .. } => Some(path.clone()),
            Held::Paste(_) => None,
        });
        images.collect()
    }

    /// There is no such image: its label becomes the text that was pasted.
    pub fn reject_image(&mut self, path: &Path) {
        let found = self.buffer.body().elements.iter().rev().find_map(|element| match &element.held {
            Held::Image { path: image, typed } if image == path => {
                Some((element.at..element.end(), typed.clone()))
            }
            _ => None,
        });
        if let Some((range, typed)) = found {
            self.popup = None;
            let (at, end) = (self.buffer.cursor(), range.end);
            self.undo.close();
            self.edit(range, typed.as_str().into(), Cause::Other);
            if at > end {
                self.buffer.set_cursor(at - end + self.buffer.cursor());
            }
            // There may be another label of the same image.
            self.reject_image(path);
        }
    }
}
