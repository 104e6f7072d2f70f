//! Journeys with real counterparts: Postfix on both sides, swaks, smtp-source, dnsmasq, dkimpy.

mod crash;
mod dns;
mod durability;
mod journey;
mod limits;
mod postfix;
