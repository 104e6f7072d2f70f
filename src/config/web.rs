//! `[web]`: where the pages are.

use super::intake::listen;
use super::reader::Section;
use super::value::BaseUrl;
use crate::model::Network;
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
    /// The proxies whose `X-Forwarded-For` says where a request comes from (`trusted_proxies`).
    pub trusted_proxies: Vec<Network>,
}

impl Web {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let listen = listen(&mut section, SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
        let public_url: Option<BaseUrl> = section.required("public_url", "\"https://www.example.jp\"");
        let system_url: Option<BaseUrl> = section.value("system_url");
        for key in ["tls_cert", "tls_key"] {
            section.not_yet(key, "put a proxy that speaks HTTPS before web.listen; remove it");
        }
        let trusted_proxies = section.list("trusted_proxies").unwrap_or_default();
        let public_url = public_url?;
        Some(Self { listen, system_url: system_url.unwrap_or_else(|| public_url.clone()), public_url, trusted_proxies })
    }
}
