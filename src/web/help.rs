//! `/help/mail`: why a mail does not arrive, and what to do (R008, R009, R011, R013).
//!
//! What always holds: the address and the domain to allow are those that mails leave from; whoever is logged in sees how
//! their own addresses stand, and nothing of other people's.

use super::Web;
use super::reply::{Answer, Reply};
use super::standing::StandingView;
use super::texts::{Texts, texts};
use super::visit::Visit;
use crate::model::{Domain, EmailAddress, Priority};
use crate::service::reach::Standing;
use crate::service::session::Stage;
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

#[derive(Serialize)]
struct HelpPage {
    address: String,
    domain: String,
    /// The sentences that name settings of other services.
    allow: Sentence,
    url: Sentence,
    long: Sentence,
    long_path: Sentence,
    look_for: Sentence,
    mark: Sentence,
    official: Vec<String>,
    services: Vec<Service>,
    /// Whether somebody is logged in, whose addresses these are.
    known: bool,
    own: Vec<Own>,
    send: super::page::SendTo,
}

/// What to do at one mail service.
#[derive(Serialize)]
struct Service {
    name: &'static str,
    steps: Vec<Sentence>,
}

#[derive(Serialize)]
struct Own {
    number: String,
    address: String,
    standing: StandingView,
}

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/help/mail", get(mail))
}

/// GET `/help/mail`.
async fn mail(State(web): State<Web>, Extension(visit): Extension<Visit>) -> Answer {
    let t = texts(visit.language());
    let member = visit.visitor().filter(|visitor| visitor.stage == Stage::Full).map(|visitor| visitor.member.id);
    let standings = match member {
        Some(member) => web.reach().of_member(member).await?,
        None => Vec::new(),
    };
    let own = |(place, address, standing): (Priority, EmailAddress, Standing)| Own {
        number: place.to_string(),
        address: address.to_string(),
        standing: StandingView::of(&web, t, &standing),
    };
    let settings = web.settings();
    Ok(Reply::page(
        "help_mail.html",
        &HelpPage {
            address: settings.sender.to_string(),
            domain: settings.sender.domain().to_string(),
            allow: sentence(t.arrival.allow_lead, &["「指定受信」"]),
            url: sentence(
                t.arrival.url_docomo,
                &[
                    "「iMenu」→「お客様サポート」→「各種設定」→「メール設定」→「詳細設定/解除」→「URL付きメール拒否設定」→「設定解除」",
                ],
            ),
            long: sentence(t.arrival.long_lead, &["「自動受信」"]),
            long_path: sentence(
                t.arrival.long_path,
                &["「メール」→「設定」→「S!\u{2060}メール設定」→「メール受信設定」"],
            ),
            look_for: sentence(t.arrival.services_lead, &["「指定受信」"]),
            mark: sentence(t.arrival.official_lead, &["ドコモメール公式アカウント"]),
            official: settings.official_at.iter().map(Domain::to_string).collect(),
            services: services(t),
            known: member.is_some(),
            own: standings.into_iter().map(own).collect(),
            send: web.send_to(None),
        },
    ))
}

/// A sentence in pieces: ours, and what other services call their settings.
type Sentence = Vec<Piece>;

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Piece {
    text: &'static str,
    /// Whether it is a name, which is Japanese on every page.
    name: bool,
}

/// Fills names into a sentence, at `{0}`, `{1}`, ….
fn sentence(text: &'static str, names: &[&'static str]) -> Sentence {
    let mut pieces = Vec::new();
    for (index, part) in text.split('{').enumerate() {
        let own = match part.split_once('}').filter(|_| index > 0) {
            Some((number, rest)) => {
                let name = number.parse::<usize>().ok().and_then(|number| names.get(number));
                pieces.extend(name.map(|text| Piece { text, name: true }));
                rest
            }
            None => part,
        };
        if !own.is_empty() {
            pieces.push(Piece { text: own, name: false });
        }
    }
    pieces
}

fn services(t: &Texts) -> Vec<Service> {
    let plain = |text| sentence(text, &[]);
    let service = |name, steps| Service { name, steps };
    vec![
        service(
            t.arrival.docomo,
            vec![
                sentence(t.arrival.docomo_1, &["「dメニュー」→「お客様サポート」→「メール設定」"]),
                sentence(t.arrival.docomo_2, &["「指定受信/拒否設定」", "「設定を利用する」"]),
                sentence(t.arrival.docomo_3, &["「受信するメールの登録」"]),
                sentence(t.arrival.docomo_4, &["「かんたん設定」", "「受信拒否 強」", "「受信拒否 弱」"]),
                sentence(t.arrival.docomo_5, &["「迷惑メールおまかせブロック」"]),
            ],
        ),
        service(
            t.arrival.au,
            vec![
                sentence(t.arrival.au_1, &["「迷惑メールフィルター」"]),
                sentence(t.arrival.au_2, &["「受信リスト」", "「必ず受信」"]),
                sentence(t.arrival.au_3, &["「必ず受信」"]),
                sentence(t.arrival.au_4, &["「高」"]),
            ],
        ),
        service(
            t.arrival.softbank,
            vec![
                sentence(t.arrival.softbank_1, &["「メール設定」→「迷惑メール対策」→「詳細設定をみる」"]),
                sentence(t.arrival.softbank_2, &["「受信許可リスト」"]),
                sentence(t.arrival.softbank_3, &["「救済リスト」"]),
            ],
        ),
        service(
            t.arrival.rakuten,
            vec![
                sentence(t.arrival.rakuten_1, &["「楽メール」"]),
                plain(t.arrival.rakuten_2),
                plain(t.arrival.rakuten_3),
            ],
        ),
        service(t.arrival.gmail, vec![plain(t.arrival.gmail_1), plain(t.arrival.gmail_2), plain(t.arrival.gmail_3)]),
        service(
            t.arrival.icloud,
            vec![plain(t.arrival.icloud_1), plain(t.arrival.icloud_2), plain(t.arrival.icloud_3)],
        ),
        service(
            t.arrival.yahoo,
            vec![
                sentence(t.arrival.yahoo_1, &["「迷惑メール」"]),
                sentence(t.arrival.yahoo_2, &["「なりすましメール拒否」", "「救済リスト」"]),
                sentence(t.arrival.yahoo_3, &["「フィルター」"]),
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Language;

    #[test]
    fn names_stand_where_the_sentence_has_a_place_for_them() {
        let piece = |text, name| Piece { text, name };
        let read = sentence("{0}で{1}を選ぶ。", &["甲", "乙"]);
        assert_eq!(read, [piece("甲", true), piece("で", false), piece("乙", true), piece("を選ぶ。", false)]);
        assert_eq!(sentence("Choose.", &[]), [piece("Choose.", false)]);
    }

    #[test]
    fn every_place_is_filled_and_every_name_used() {
        for language in Language::ALL {
            let t = texts(language);
            for text in services(t).into_iter().flat_map(|service| service.steps).flatten() {
                assert!(!text.text.contains(['{', '}']), "{}", text.text);
            }
        }
    }
}
