//! Those who mean harm, and machines that do it without meaning to.
