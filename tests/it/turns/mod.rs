//! Turns of the real program against a scripted model: what the model hears, and what happens to the files.

mod answers;
mod cache;
mod calls;
mod files;
mod floods;
mod odd;
mod shell;
mod waiting;
