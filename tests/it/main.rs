//! The whole daemon, seen from outside: journeys, crashes, real counterparts, the command line.

mod layers;
