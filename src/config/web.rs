//! `[web]`: where the pages are.

use super::intake::listen;
use super::reader::Section;
use super::value::BaseUrl;
use std::net::{Ipv4Addr, SocketAddr};

/// `[web]`.
#[derive(Debug, Clone)]
pub struct Web {
    /// Where browsers, or the proxy before us, connect (`listen`); never empty.
    pub listen: Vec<SocketAddr>,
    /// The published login address, which links carry (`public_url`).
    pub public_url: BaseUrl,
    /// Where `/` sends the browser (`system_url`).
    pub system_url: BaseUrl,
}

impl Web {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let listen = listen(&mut section, SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
        let public_url: Option<BaseUrl> = section.required("public_url", "\"https://www.example.jp\"");
        let system_url: Option<BaseUrl> = section.value("system_url");
        for key in ["tls_cert", "tls_key"] {
            section.not_yet(key, "put a proxy that speaks HTTPS before web.listen; remove it");
        }
        section.not_yet("trusted_proxies", "the address of a browser is not needed so far; remove it");
        let public_url = public_url?;
        Some(Self { listen, system_url: system_url.unwrap_or_else(|| public_url.clone()), public_url })
    }
}
