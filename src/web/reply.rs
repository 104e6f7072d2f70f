//! What a handler answers, as a value, and the layer that makes a page of it.
//!
//! What always holds: nothing leaves without the headers of `page`; a request is over within its deadline, with a page that
//! says so; what a browser reads of a failure comes from a fixed list, and the cause goes to the log.

use super::cookie::Crumb;
use super::form::{self, Fields, TOKEN_FIELD};
use super::note::{Late, Note};
use super::notice::Notice;
use super::texts::texts;
use super::visit::{self, Visit};
use super::{Web, draft, page, turn};
use crate::model::Span;
use crate::random::NoChance;
use crate::service::draft::DraftError;
use crate::service::hasher::HashError;
use crate::service::login::LoginError;
use crate::service::session;
use crate::store::StoreError;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde::Serialize;
use tera::Value;

/// How long an answer may take, waiting for a turn to hash included.
const ANSWER: Span = Span::from_secs(30);
/// How long the body of a form may take to arrive: a phone on a slow line needs a second for 4 KiB.
const BODY: Span = Span::from_secs(20);
/// The largest form.
const FORM: usize = 64 * 1024;
/// So much of a larger one is read and dropped, so that the browser gets to see the answer.
const DRAINED: usize = 4 * 1024 * 1024;

/// What a handler answers.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    content: Content,
    cookies: Vec<(Crumb, Option<String>)>,
}

#[derive(Debug, Clone)]
enum Content {
    Page(&'static str, Value, bool),
    Away(StatusCode, String),
    Notice(Notice),
    Text(String),
    Nothing,
}

/// What a handler gives back.
pub(super) type Answer = Result<Reply, Trouble>;

impl Reply {
    const fn new(content: Content) -> Self {
        Self { content, cookies: Vec::new() }
    }

    /// Shows a page.
    pub(super) fn page(template: &'static str, page: &impl Serialize) -> Self {
        Self::new(Content::Page(template, Value::from_serializable(page), false))
    }

    /// Shows a page on which the script has something to do although nobody is logged in.
    pub(super) fn scripted(template: &'static str, page: &impl Serialize) -> Self {
        Self::new(Content::Page(template, Value::from_serializable(page), true))
    }

    /// Sends the browser to a page of ours, to be asked for by GET (RFC 9110 15.4.4).
    pub(super) const fn see(path: String) -> Self {
        Self::new(Content::Away(StatusCode::SEE_OTHER, path))
    }

    /// Sends the browser to another address for now, not for good (R142).
    pub(super) const fn found(url: String) -> Self {
        Self::new(Content::Away(StatusCode::FOUND, url))
    }

    /// Says one thing.
    pub(super) const fn notice(notice: Notice) -> Self {
        Self::new(Content::Notice(notice))
    }

    /// Says that there is no such page.
    pub(super) const fn missing(status: StatusCode) -> Self {
        Self::notice(Notice::Missing(status))
    }

    /// Answers the script with a line of text.
    pub(super) const fn text(line: String) -> Self {
        Self::new(Content::Text(line))
    }

    /// Answers with nothing.
    pub(super) const fn nothing() -> Self {
        Self::new(Content::Nothing)
    }

    /// Gives the browser a cookie to keep, or takes one away.
    pub(super) fn with(mut self, crumb: Crumb, value: Option<String>) -> Self {
        self.cookies.push((crumb, value));
        self
    }

    /// Leaves something for the next page to say.
    pub(super) fn noting(self, note: &Note) -> Self {
        self.with(Crumb::Note, Some(note.write()))
    }
}

/// On its way to `dress` a reply rides on an empty response.
impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

/// Something failed; the cause has been logged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// It may work in a moment.
    Busy,
    /// It is our fault.
    Broken,
}

impl Trouble {
    /// A page could not be made.
    pub(super) fn page(template: &str, cause: &tera::Error) -> Self {
        tracing::error!(template, %cause, "a page could not be made");
        Self::Broken
    }

    /// Files could not be read.
    pub(super) fn file(cause: &std::io::Error) -> Self {
        tracing::error!(%cause, "the outbox could not be read");
        Self::Broken
    }
}

impl From<StoreError> for Trouble {
    fn from(cause: StoreError) -> Self {
        tracing::error!(%cause, "a page could not be answered");
        if cause.is_temporary() { Self::Busy } else { Self::Broken }
    }
}

impl From<NoChance> for Trouble {
    fn from(cause: NoChance) -> Self {
        tracing::error!(%cause, "a page could not be answered");
        Self::Broken
    }
}

impl From<DraftError> for Trouble {
    fn from(cause: DraftError) -> Self {
        match cause {
            DraftError::Store(cause) => cause.into(),
            DraftError::Chance(cause) => cause.into(),
        }
    }
}

impl From<LoginError> for Trouble {
    fn from(cause: LoginError) -> Self {
        match cause {
            LoginError::Store(cause) => cause.into(),
            LoginError::Chance(cause) => cause.into(),
            LoginError::Hash(HashError::Busy) => {
                tracing::warn!("logins wait longer than allowed");
                Self::Busy
            }
            LoginError::Hash(_) | LoginError::Broken => {
                tracing::error!(%cause, "a login could not be judged");
                Self::Broken
            }
        }
    }
}

impl From<Trouble> for Reply {
    fn from(trouble: Trouble) -> Self {
        Self::notice(match trouble {
            Trouble::Busy => Notice::Busy,
            Trouble::Broken => Notice::Broken,
        })
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        Reply::from(self).into_response()
    }
}

/// The layer around all handlers: finds out who asks, waits for the answer, makes the page.
pub(super) async fn dress(State(web): State<Web>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let deadline = web.now().plus(ANSWER);
    let visit = match web.clock().within(deadline, Visit::read(&web, &parts)).await {
        Ok(Ok(visit)) => visit,
        Ok(Err(trouble)) => return apologise(&web, Visit::of_nobody(&web, &parts), trouble),
        Err(_) => return apologise(&web, Visit::of_nobody(&web, &parts), Trouble::Busy),
    };
    parts.extensions.insert(visit.clone());
    let answer = next.run(Request::from_parts(parts, body));
    let reply = match web.clock().within(deadline, answer).await {
        Ok(response) => taken(response),
        Err(_) => Undressed { reply: Trouble::Busy.into(), allow: None },
    };
    undress(&web, &visit, reply).unwrap_or_else(|trouble| apologise(&web, Ok(visit), trouble))
}

/// What came out of the router.
struct Undressed {
    reply: Reply,
    allow: Option<HeaderValue>,
}

/// Takes the reply off the response it rode on. Where axum answered by itself, it did not understand the request.
fn taken(mut response: Response) -> Undressed {
    let reply = response.extensions_mut().remove::<Reply>();
    let allow = response.headers_mut().remove(header::ALLOW);
    Undressed { reply: reply.unwrap_or_else(|| Reply::missing(StatusCode::NOT_FOUND)), allow }
}

fn undress(web: &Web, visit: &Visit, answer: Undressed) -> Result<Response, Trouble> {
    let Reply { content, mut cookies } = answer.reply;
    let mut response = match content {
        Content::Page(template, page, scripted) => {
            cookies.extend(page::spent(visit));
            web.pages().show(visit, StatusCode::OK, template, (page, scripted))?
        }
        Content::Notice(notice) => {
            let shown = notice.shown(texts(visit.language()), |org| web.send_to(org));
            web.pages().show(visit, notice.status(), "notice.html", (Value::from_serializable(&shown), false))?
        }
        Content::Away(status, place) => away(web, status, &place)?,
        Content::Text(line) => (StatusCode::OK, web.pages().headers(), line).into_response(),
        Content::Nothing => (StatusCode::NO_CONTENT, web.pages().headers()).into_response(),
    };
    if visit.is_new() && visit.is_get() {
        cookies.push((Crumb::Visit, Some(visit.tie().to_owned())));
    }
    if let Some(language) = visit.kept_language() {
        cookies.push((Crumb::Language, Some(language)));
    }
    for (crumb, value) in cookies {
        if let Ok(line) = HeaderValue::from_str(&visit.jar().set(crumb, value.as_deref())) {
            response.headers_mut().append(header::SET_COOKIE, line);
        }
    }
    if let Some(allow) = answer.allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    Ok(response)
}

fn away(web: &Web, status: StatusCode, place: &str) -> Result<Response, Trouble> {
    let Ok(place) = HeaderValue::from_str(place) else {
        tracing::error!("a redirect has a character no address has");
        return Err(Trouble::Broken);
    };
    let mut response = (status, web.pages().headers()).into_response();
    response.headers_mut().insert(header::LOCATION, place);
    Ok(response)
}

/// The last resort is a status without a page.
fn apologise(web: &Web, visit: Result<Visit, Trouble>, trouble: Trouble) -> Response {
    let reply = Undressed { reply: trouble.into(), allow: None };
    let page = visit.and_then(|visit| undress(web, &visit, reply));
    page.unwrap_or_else(|_| (StatusCode::INTERNAL_SERVER_ERROR, web.pages().headers()).into_response())
}

/// The fields of a form that was shown to this browser in this session.
pub(super) struct Entry(pub(super) Fields);

impl FromRequest<Web> for Entry {
    type Rejection = Reply;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Reply> {
        let (parts, body) = request.into_parts();
        let Some(visit) = parts.extensions.get::<Visit>() else {
            return Err(Trouble::Broken.into());
        };
        if form::is_foreign(&parts.headers) {
            return Err(Reply::notice(Notice::Foreign));
        }
        let deadline = web.now().plus(BODY);
        let Ok(body) = web.clock().within(deadline, collect(body)).await else {
            return Err(Trouble::Busy.into());
        };
        let fields = Fields::read(&body?);
        if visit.is_new() {
            return Err(Reply::see(visit::cookies_page(visit)));
        }
        let keys = web.form_keys();
        let fits = |session: Option<&[u8; 32]>| {
            keys.iter().any(|key| form::fits(fields.get(TOKEN_FIELD), key.reveal(), visit.tie(), session))
        };
        if fits(visit.visitor().map(|visitor| &visitor.session)) {
            taken_in(web, visit).await?;
            return Ok(Self(fields));
        }
        let left = visit.session_hash().filter(|left| visit.has_lapsed() && fits(Some(left)));
        if let Some(reply) = twice(web, visit, left).await? {
            return Err(reply);
        }
        let late = match left.is_some() && draft::keep(web, visit, &fields).await? {
            true => Late::Kept,
            false if visit.has_lapsed() => Late::Lapsed,
            false if draft::rescue(web, visit, &fields).await? => Late::Moved,
            false => Late::Stale,
        };
        Err(Reply::see(visit.here()).noting(&Note::of(late).keeping(&fields)))
    }
}

/// Answers a form that this browser was shown in a session that went on under another name a moment ago: a button was pressed
/// twice, or the answer got lost. Nothing is judged or done again, and the name that was left opens nothing: the browser is
/// sent to the page whose turn it is, and gets in there if it holds the other name by now.
async fn twice(web: &Web, visit: &Visit, left: Option<[u8; 32]>) -> Result<Option<Reply>, Trouble> {
    let Some(left) = left else { return Ok(None) };
    let stage = session::went_on(web.store(), left, web.now()).await?;
    Ok(stage.map(|stage| Reply::see(turn::already(visit, stage)).noting(&Note::of(Late::Done))))
}

/// What goes with every form of somebody who is logged in: the language chosen on the pages becomes the member's (R061, chapter
/// 5: a link may not change it, so the next form does), and what had been kept of this form is not needed any more.
async fn taken_in(web: &Web, visit: &Visit) -> Result<(), Trouble> {
    let Some(visitor) = visit.visitor() else { return Ok(()) };
    let member = visitor.member.id;
    if let Some(language) = visit.chosen().filter(|language| *language != visitor.member.language) {
        web.store().write::<_, StoreError, _>(move |tx| tx.set_language(member, language)).await?;
    }
    draft::forget(web, visit).await
}

/// Reads a body, if it is no larger than a form may be.
async fn collect(mut body: Body) -> Result<Vec<u8>, Reply> {
    let (mut kept, mut seen) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        // The connection broke; nobody will see the answer.
        let Ok(frame) = frame else {
            return Err(Trouble::Busy.into());
        };
        let Some(piece) = frame.data_ref() else { continue };
        seen = seen.saturating_add(piece.len());
        if seen <= FORM {
            kept.extend_from_slice(piece);
        } else if seen > DRAINED {
            break;
        }
    }
    if seen > FORM { Err(Reply::notice(Notice::TooLarge)) } else { Ok(kept) }
}
