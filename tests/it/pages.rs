//! The pages over real HTTP: every page, and every way to go wrong.

mod attacks;
mod backup;
mod contact;
mod crawl;
mod doubt;
mod forms;
mod frame;
mod help;
pub mod house;
mod journey;
mod login;
mod profile;
mod two_factor;
