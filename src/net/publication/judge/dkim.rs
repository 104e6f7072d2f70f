//! DKIM records (RFC 6376 3.6.1, RFC 8463).

use super::super::plan::{DkimHalf, Standing};
use super::{Verdict, tag, tags};
use crate::keys::DkimAlgorithm;

/// What an RSA key in the usual form has before the bare one (RFC 5280 4.1), which a record may hold just as well.
const RSA_HEADER: usize = 24;

/// Judges the texts at a key's name.
pub(in super::super) fn dkim(texts: &[String], key: &DkimHalf) -> Verdict {
    let found = texts.to_vec();
    match texts {
        [] => Verdict::missing(),
        [text] => match fault(text, key) {
            Some(fault) => Verdict::wrong(found, fault),
            None => Verdict::right(found, ready(key)),
        },
        _ => Verdict::wrong(found, "there are several texts at this name, and receivers take any: leave one"),
    }
}

fn ready(key: &DkimHalf) -> Option<String> {
    let waits = key.standing == Standing::Waits;
    waits.then(|| format!("the key is ready to sign: karamail key use {}", key.selector))
}

/// Says why a receiver would not verify our signatures with a record.
fn fault(text: &str, key: &DkimHalf) -> Option<String> {
    let lists = |name: &str, wanted: &[&str]| {
        tag(text, name).is_none_or(|value| value.split(':').any(|item| wanted.contains(&item.trim())))
    };
    let Some(published) = tag(text, "p") else {
        return Some("it holds no key (p=)".to_owned());
    };
    let ours = key.text.as_deref().and_then(|text| tag(text, "p")).unwrap_or_default();
    let (said, kind) = (tag(text, "k").unwrap_or("rsa"), key.algorithm.as_str());
    // RFC 6376 3.6.1: where the version is said, it comes first.
    let first = tags(text).next().filter(|(name, _)| *name == "v");
    if first.is_some_and(|(_, version)| version != "DKIM1") || first.is_none() && tag(text, "v").is_some() {
        return Some("it does not begin with v=DKIM1".to_owned());
    }
    if published.is_empty() {
        return Some("the key is revoked there (p= is empty): publish ours, or use another selector".to_owned());
    }
    if said != kind {
        return Some(format!("it says that the key is of type {said}, and ours is {kind}"));
    }
    if !is_same(published, ours, key.algorithm) {
        return Some("it holds another key than ours: our signatures fail".to_owned());
    }
    if !lists("h", &["sha256"]) {
        return Some("its h= is without sha256, which we sign with".to_owned());
    }
    if !lists("s", &["*", "email"]) {
        return Some("its s= is not for email".to_owned());
    }
    if tag(text, "t").is_some_and(|flags| flags.split(':').any(|flag| flag.trim() == "y")) {
        return Some(
            "t=y says that the key is only being tried: receivers need not count its signatures; take it out"
                .to_owned(),
        );
    }
    None
}

/// Compares keys; blanks within do not count.
fn is_same(published: &str, ours: &str, algorithm: DkimAlgorithm) -> bool {
    let bytes = |text: &str| {
        let text: String = text.split_ascii_whitespace().collect();
        data_encoding::BASE64.decode(text.as_bytes()).ok()
    };
    let (Some(published), Some(ours)) = (bytes(published), bytes(ours)) else { return false };
    let bare = algorithm == DkimAlgorithm::Rsa && ours.get(RSA_HEADER..) == Some(published.as_slice());
    published == ours || bare
}
