//! stub
use ratatui::text::Line; use crate::protocol::*; use super::theme::Theme;
#[derive(Default)] pub struct Transcript { out: Vec<String> }
impl Transcript { pub fn new()->Self{Self::default()} pub fn apply(&mut self, e:&Event){ if let Fact::ItemAdded{item}=&e.fact { match &**item { Item::User{content,..}=>self.out.push(format!("› {content:?}")), Item::Assistant{text,..}=>self.out.extend(text.lines().map(|l| format!("  {}", printable(l)))), _=>{} } } } pub fn delta(&mut self,_d:&Delta){} pub fn say(&mut self, l:&[String]) { self.out.extend_from_slice(l) } pub fn take_finished(&mut self,_w:u16,_t:&Theme)->Vec<Line<'static>>{ self.out.drain(..).map(Line::from).collect() } pub fn live(&self,_w:u16,_m:u16,_t:&Theme,_n:u64)->Vec<Line<'static>>{vec![]} }
