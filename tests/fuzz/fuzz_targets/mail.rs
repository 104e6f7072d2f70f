//! A stranger's mail is read, whatever it is.
//!
//! Reading must not panic, must say the same twice, and what comes out must be fit to stand in a header or a log line.

#![no_main]

use karamail::mail::read::{FromField, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    let reading = read(message);
    assert_eq!(reading, read(message));
    if let Some(id) = &reading.message_id {
        assert!(!id.as_str().contains(['\r', '\n', '\0']), "{id:?}");
    }
    if let FromField::One(address) = &reading.from {
        assert_eq!(address.to_wire().parse().as_ref(), Ok(address));
        assert!(!address.to_string().contains(['\r', '\n', '\0']), "{address:?}");
    }
});
