//! `[web]`: where the pages are.

use super::intake::listen;
use super::reader::Section;
use super::tls::TlsFiles;
use super::value::BaseUrl;
use crate::model::Network;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// `[web]`.
#[derive(Debug, Clone)]
pub struct Web {
    /// Where browsers, or the proxy before us, connect (`listen`); never empty.
    pub listen: Vec<SocketAddr>,
    /// What is shown to browsers, by HTTPS (`tls_cert`, `tls_key`); nothing: plain HTTP, for a proxy before us.
    pub tls: Option<TlsFiles>,
    /// The published login address, which links carry (`public_url`).
    pub public_url: BaseUrl,
    /// Where `/` sends the browser (`system_url`).
    pub system_url: BaseUrl,
    /// The proxies whose `X-Forwarded-For` says where a request comes from (`trusted_proxies`).
    pub trusted_proxies: Vec<Network>,
}

impl Web {
    pub(super) fn read(mut section: Section<'_>, data_dir: &Path) -> Option<Self> {
        let listen = listen(&mut section, SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
        let public_url: Option<BaseUrl> = section.required("public_url", "\"https://www.example.jp\"");
        let system_url: Option<BaseUrl> = section.value("system_url");
        let tls = TlsFiles::read(&mut section, data_dir);
        let trusted_proxies = section.list("trusted_proxies").unwrap_or_default();
        let public_url = public_url?;
        let system_url = system_url.unwrap_or_else(|| public_url.clone());
        Some(Self { listen, tls, public_url, system_url, trusted_proxies })
    }
}
