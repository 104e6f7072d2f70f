//! Journeys with real counterparts: Postfix on both sides, swaks, smtp-source, OpenSSL, curl, dnsmasq, knot, dkimpy.

mod alerts;
mod carriers;
mod crash;
mod dane;
mod dns;
mod door;
mod durability;
mod faults;
mod journey;
mod kills;
mod knot;
mod limits;
mod package;
mod plain;
mod postfix;
mod publication;
mod reloads;
mod secured;
mod stop;
mod unit;
