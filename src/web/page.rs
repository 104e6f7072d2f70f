//! Pages: the templates, filled in, and the headers that go with them.
//!
//! Knows nothing of what leads to a page. What always holds: everything from outside is escaped, as all templates end in
//! `.html`; a page loads nothing, runs no script but the one that is built in, and is kept by nobody; what a template names
//! must be there, or the page is not made.

use super::cookie::Crumb;
use super::form;
use super::frame::Frame;
use super::texts::texts;
use super::visit::Visit;
use super::wire::{self, Fixed};
use super::{Settings, Trouble};
use crate::keys::Keychain;
use crate::model::{EmailAddress, Language, Manual, OrgCode};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tera::{Context, Kwargs, State, Tera, Value};

const STYLE: &str = include_str!("pages/style.css");
const SCRIPT: &str = include_str!("pages/script.js");

/// As many letters of an address as stand on a line of a phone.
const LINE: usize = 24;

/// The templates by name; the first ones are parts of the others.
const TEMPLATES: &[(&str, &str)] = &[
    ("parts.html", include_str!("pages/parts.html")),
    ("base.html", include_str!("pages/base.html")),
    ("account.html", include_str!("pages/account.html")),
    ("again.html", include_str!("pages/again.html")),
    ("bookmark.html", include_str!("pages/bookmark.html")),
    ("confirm.html", include_str!("pages/confirm.html")),
    ("doubt.html", include_str!("pages/doubt.html")),
    ("done.html", include_str!("pages/done.html")),
    ("home.html", include_str!("pages/home.html")),
    ("landing.html", include_str!("pages/landing.html")),
    ("login.html", include_str!("pages/login.html")),
    ("code.html", include_str!("pages/code.html")),
    ("backup.html", include_str!("pages/backup.html")),
    ("two_factor.html", include_str!("pages/two_factor.html")),
    ("two_factor_app.html", include_str!("pages/two_factor_app.html")),
    ("two_factor_mail.html", include_str!("pages/two_factor_mail.html")),
    ("two_factor_confirm.html", include_str!("pages/two_factor_confirm.html")),
    ("two_factor_done.html", include_str!("pages/two_factor_done.html")),
    ("two_factor_remove.html", include_str!("pages/two_factor_remove.html")),
    ("logout.html", include_str!("pages/logout.html")),
    ("notice.html", include_str!("pages/notice.html")),
    ("outbox.html", include_str!("pages/outbox.html")),
    ("contact.html", include_str!("pages/contact.html")),
    ("contact_done.html", include_str!("pages/contact_done.html")),
    ("help_mail.html", include_str!("pages/help_mail.html")),
    ("profile.html", include_str!("pages/profile.html")),
    ("profile_confirm.html", include_str!("pages/profile_confirm.html")),
    ("profile_test.html", include_str!("pages/profile_test.html")),
    ("password.html", include_str!("pages/password.html")),
    ("priority.html", include_str!("pages/priority.html")),
];

/// How to send an empty mail.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SendTo {
    address: String,
    href: String,
}

impl SendTo {
    /// Names the registration address, and within it the organisation where it is known.
    pub(super) fn new(registration: &EmailAddress, org: Option<&OrgCode>) -> Self {
        let tag = org.map_or_else(String::new, |org| format!("+{org}"));
        let local = format!("{}{tag}", registration.local());
        // RFC 6068 2: what is not plain in a mailto address is percent-encoded.
        let encoded: String = local
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' => {
                    char::from(byte).to_string()
                }
                other => format!("%{other:02X}"),
            })
            .collect();
        let domain = registration.domain();
        Self { address: format!("{local}@{domain}"), href: format!("mailto:{encoded}@{domain}") }
    }
}

/// Fills in templates.
#[derive(Debug)]
pub(super) struct Pages {
    tera: Tera,
    plain: HeaderMap,
    scripted: HeaderMap,
    texts: [(Language, Value); 2],
    product: [(Language, String); 2],
    sender: String,
    manuals: Vec<Manual>,
    fixed: [Fixed; 2],
    keys: Keychain,
}

impl Pages {
    /// Reads the templates; `keys` make form tokens.
    pub(super) fn new(settings: &Settings, keys: Keychain) -> Result<Self, tera::Error> {
        Ok(Self {
            tera: tera(TEMPLATES.iter().copied())?,
            plain: headers(settings.is_secure(), false),
            scripted: headers(settings.is_secure(), true),
            texts: Language::ALL.map(|language| (language, Value::from_serializable(texts(language)))),
            product: [(Language::Ja, settings.title.clone()), (Language::En, settings.title_en.clone())],
            sender: settings.sender.to_string(),
            manuals: settings.manuals.clone(),
            fixed: [Fixed::new(STYLE), Fixed::new(SCRIPT)],
            keys,
        })
    }

    /// Makes a page; whoever is logged in gets the script with it, others where the page is `scripted`.
    pub(super) fn show(
        &self,
        visit: &Visit,
        status: StatusCode,
        template: &str,
        (page, scripted): (Value, bool),
    ) -> Result<Response, Trouble> {
        let scripted = scripted || visit.visitor().is_some();
        let mut context = Context::new();
        let language = visit.language();
        let key = super::key_of(self.keys.now().seal().active().1);
        let form = form::token(key.reveal(), visit.tie(), visit.visitor().map(|visitor| &visitor.session));
        let product = pick(&self.product, language);
        let frame = Frame::new(visit, (product, &self.sender), &self.manuals, form);
        context.insert_value("t", pick(&self.texts, language).clone());
        context.insert("frame", &frame);
        context.insert_value("page", page);
        context.insert("style", STYLE);
        context.insert("script", &scripted.then_some(SCRIPT));
        let html = self.tera.render(template, &context).map_err(|cause| Trouble::page(template, &cause))?;
        let mut response = match visit.takes_gzip() {
            true => (status, [(header::CONTENT_ENCODING, "gzip")], wire::pack(&html, &self.fixed)).into_response(),
            false => (status, html).into_response(),
        };
        let headers = response.headers_mut();
        headers.extend(if scripted { self.scripted.clone() } else { self.plain.clone() });
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.as_str()));
        Ok(response)
    }

    /// Gives the headers that go with everything.
    pub(super) fn headers(&self) -> HeaderMap {
        self.plain.clone()
    }
}

/// Reads templates, for pages and parts of pages.
fn tera<'a>(templates: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Tera, tera::Error> {
    let mut tera = Tera::default();
    tera.register_filter("pieces", |address: &str, _: Kwargs, _: &State<'_>| -> Vec<Value> {
        pieces(address).into_iter().map(Value::from).collect()
    });
    tera.add_raw_templates(templates)?;
    Ok(tera)
}

/// Splits an address that may be too long for a line of a phone where a reader would: before the `@` of a mailbox, before
/// the path of a page.
fn pieces(address: &str) -> Vec<&str> {
    let path = |(scheme, rest): (&str, &str)| rest.find('/').map(|at| scheme.len() + "://".len() + at);
    let at = match address.split_once("://") {
        Some(parts) => path(parts),
        None => address.rfind('@'),
    };
    match at {
        Some(at) if address.chars().count() > LINE => <[&str; 2]>::from(address.split_at(at)).into(),
        Some(_) | None => vec![address],
    }
}

fn pick<T>(pairs: &[(Language, T); 2], language: Language) -> &T {
    let [(first, japanese), (_, english)] = pairs;
    if *first == language { japanese } else { english }
}

/// Takes back the note that a page has just shown.
pub(super) fn spent(visit: &Visit) -> Option<(Crumb, Option<String>)> {
    visit.jar().get(Crumb::Note).map(|_| (Crumb::Note, None))
}

fn headers(secure: bool, scripted: bool) -> HeaderMap {
    let style = hash(STYLE);
    let script = match scripted {
        true => format!("script-src {}; connect-src 'self'; ", hash(SCRIPT)),
        false => String::new(),
    };
    let policy = format!(
        "default-src 'none'; style-src {style}; {script}form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    let fixed = [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ];
    let mut headers: HeaderMap = fixed
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if secure {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    headers
}

/// Names something inline by its hash (CSP3 2.3.1).
fn hash(inline: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(&Sha256::digest(inline)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailto_link_names_the_organisation_where_it_is_known() {
        let address: EmailAddress = "bizanpi@mc-anpi.com".parse().unwrap();
        assert_eq!(SendTo::new(&address, None).href, "mailto:bizanpi@mc-anpi.com");
        let named = SendTo::new(&address, Some(&"ACME-1".parse().unwrap()));
        assert_eq!(named.href, "mailto:bizanpi+ACME-1@mc-anpi.com");
        assert_eq!(named.address, "bizanpi+ACME-1@mc-anpi.com");
        let odd = SendTo::new(&"a?b&c@mc-anpi.com".parse().unwrap(), None);
        assert_eq!(odd.href, "mailto:a%3Fb%26c@mc-anpi.com");
    }

    #[test]
    fn the_policy_names_the_one_style_and_the_one_script_by_their_hashes_and_nothing_inline() {
        for scripted in [false, true] {
            let policy = headers(true, scripted)[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
            assert_eq!(policy.contains("; script-src 'sha256-"), scripted, "{policy}");
            assert_eq!(policy.contains("; connect-src 'self';"), scripted, "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
        }
        assert!(headers(true, true).contains_key(header::STRICT_TRANSPORT_SECURITY));
        assert!(!headers(false, true).contains_key(header::STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn the_script_is_small_and_cannot_end_its_own_element() {
        assert!(SCRIPT.len() <= 3 * 1024 + 512, "{} bytes", SCRIPT.len());
        assert!(!SCRIPT.contains("</script") && !SCRIPT.contains("<!--"));
    }

    /// Fills in a template that is made for the test from the parts of all pages.
    fn filled(template: &str) -> String {
        let tera = tera(TEMPLATES.iter().copied().chain([("test.html", template)])).unwrap();
        let mut context = Context::new();
        context.insert("t", texts(Language::En));
        context.insert("errors", &Vec::<String>::new());
        tera.render("test.html", &context).unwrap()
    }

    #[test]
    fn a_long_address_is_broken_where_a_reader_would_and_a_short_one_nowhere() {
        assert_eq!(pieces("hanako@docomo.ne.jp"), ["hanako@docomo.ne.jp"]);
        assert_eq!(pieces("\"a@b\".hanako.mihon@docomo.ne.jp"), ["\"a@b\".hanako.mihon", "@docomo.ne.jp"]);
        let bookmark = "http://www.mc-anpi.com/account/bookmark";
        assert_eq!(pieces(bookmark), ["http://www.mc-anpi.com", "/account/bookmark"]);
        assert_eq!(pieces("https://a-name-without-a-path.example.jp"), ["https://a-name-without-a-path.example.jp"]);
        let shown = filled(r#"{{ <mailbox of="a@b.jp" /> }} {{ <mailbox of="<hanako>.mihon@mail.docomo.ne.jp" /> }}"#);
        let long = r#"<span class="whole">&lt;hanako&gt;.mihon</span><span class="whole">@mail.docomo.ne.jp</span>"#;
        assert_eq!(shown.trim(), format!("a@b.jp {long}"));
    }

    #[test]
    fn a_field_may_be_optional_and_have_a_button_beside_it() {
        let needed = filled(r#"{{ <field name="id" label="ID" errors={errors} /> }}"#);
        assert!(needed.contains("Required") && needed.contains(" required") && !needed.contains("<button"), "{needed}");
        assert!(!needed.contains("inputmode") && !needed.contains("data-eye"), "{needed}");
        let optional = filled(
            r#"{% <field name="mail1" label="Address" kind="email" inputmode="email" autocomplete="email" optional={true} errors={errors}> %}<button name="test" value="1">Send a test</button>{% </field> %}"#,
        );
        assert!(!optional.to_lowercase().contains("required"), "{optional}");
        for part in
            [r#"type="email""#, r#"inputmode="email""#, r#"autocomplete="email""#, r#"value="1">Send a test</button>"#]
        {
            assert!(optional.contains(part), "{optional}");
        }
        let password = filled(
            r#"{{ <field name="new" label="New" kind="password" autocomplete="new-password" errors={errors} /> }}"#,
        );
        assert!(password.contains(r#"data-eye="Show password""#), "{password}");
    }
}
