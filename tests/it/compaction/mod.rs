//! A session goes on past the model's window: what must stay stays, whatever the model makes of it.

mod bench;
mod long;
mod sealed;
mod summaries;
