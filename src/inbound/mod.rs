//! The sockets mail comes in by.
//!
//! Drives the pure sessions of `smtp`, says which addresses are ours, and hands each mail on before its sender hears 250.
//! Does not judge a mail, nor store it: whoever builds an [`smtp::Intake`] gives it a [`smtp::Take`] that does. What always
//! holds: every wait has a deadline, and connections and the memory of mails under way have a bound.

pub mod route;
pub mod smtp;
