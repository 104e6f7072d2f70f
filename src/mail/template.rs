//! The wording of our mails: templates in, subject and body out.
//!
//! Knows nothing of files: whoever read a folder of templates hands the texts in, and what the folder lacks is built in.
//! It knows no addresses and no links either, only words to put into a sentence. What always holds: templates that were
//! taken have been rendered once with sample values, so a fault shows when they are read and not when a mail is due; and
//! a mail that carries a link carries exactly one URL, alone on its line, near the top, and one that carries a code carries it
//! once, near the top, and no URL (requirements R010, R012).
//!
//! Names are `FOLDER/NAME.subject.tera` and `FOLDER/NAME.body.tera`. The folder is the language (`ja`, `en`), or
//! `bilingual`, which serves where the language is not known or has no wording of its own.

use crate::model::Language;
use std::fmt;
use tera::{Context, Tera};

const BILINGUAL: &str = "bilingual";

/// What is there without any file.
const BUILT_IN: &[(&str, &str)] = &[
    ("bilingual/registration.subject.tera", include_str!("../../mail-templates/bilingual/registration.subject.tera")),
    ("bilingual/registration.body.tera", include_str!("../../mail-templates/bilingual/registration.body.tera")),
    ("ja/contact_test.subject.tera", include_str!("../../mail-templates/ja/contact_test.subject.tera")),
    ("ja/contact_test.body.tera", include_str!("../../mail-templates/ja/contact_test.body.tera")),
    ("en/contact_test.subject.tera", include_str!("../../mail-templates/en/contact_test.subject.tera")),
    ("en/contact_test.body.tera", include_str!("../../mail-templates/en/contact_test.body.tera")),
    ("bilingual/forward.subject.tera", include_str!("../../mail-templates/bilingual/forward.subject.tera")),
    ("bilingual/forward.body.tera", include_str!("../../mail-templates/bilingual/forward.body.tera")),
    ("ja/otp.subject.tera", include_str!("../../mail-templates/ja/otp.subject.tera")),
    ("ja/otp.body.tera", include_str!("../../mail-templates/ja/otp.body.tera")),
    ("en/otp.subject.tera", include_str!("../../mail-templates/en/otp.subject.tera")),
    ("en/otp.body.tera", include_str!("../../mail-templates/en/otp.body.tera")),
    ("ja/security.subject.tera", include_str!("../../mail-templates/ja/security.subject.tera")),
    ("ja/security.body.tera", include_str!("../../mail-templates/ja/security.body.tera")),
    ("en/security.subject.tera", include_str!("../../mail-templates/en/security.subject.tera")),
    ("en/security.body.tera", include_str!("../../mail-templates/en/security.body.tera")),
];

/// The last byte of the body at which a link may begin. A SoftBank phone that cuts a long mail shows the first few hundred
/// bytes only; more than this before the link means that it was put at the end.
const LINK_WITHIN: usize = 600;

/// What a one-time password may be for.
const CODES: [&str; 2] = ["second_factor", "login"];

/// What a notice may tell of.
const NOTICES: [&str; 7] = [
    "password_changed",
    "password_reset",
    "two_factor_set",
    "two_factor_removed",
    "two_factor_reset",
    "backup_code_used",
    "address_changed",
];

/// The last byte of the body at which a code may begin.
const CODE_WITHIN: usize = 300;

/// What a mail says, and the words that differ from one to the next.
#[derive(Debug, Clone, Copy)]
pub enum Words<'a> {
    /// The answer to an empty mail (requirements R113 to R116).
    Registration {
        /// The title in Japanese.
        title: &'a str,
        /// The title in English.
        title_en: &'a str,
        /// The link.
        url: &'a str,
        /// The minute the link ends.
        expires: &'a str,
    },
    /// The test of an address that a member typed (requirements R105 to R107).
    ContactTest {
        /// The title in Japanese, whatever the language.
        title: &'a str,
        /// The link.
        url: &'a str,
        /// The minute the link ends.
        expires: &'a str,
    },
    /// A one-time password (requirements R037 to R039).
    Otp {
        /// The title, in the language of the mail.
        title: &'a str,
        /// What it is for, by its name among the codes of this module.
        what: &'a str,
        /// The code, with its gap.
        code: &'a str,
        /// The minute the code ends.
        expires: &'a str,
    },
    /// What was done to a member's account.
    Security {
        /// The title, in the language of the mail.
        title: &'a str,
        /// What, by its name among the notices of this module.
        what: &'a str,
        /// The minute it was done.
        at: &'a str,
    },
    /// A mail to `postmaster@` or `abuse@`, handed on to the operator.
    Forward {
        /// The address it came to.
        to: &'a str,
        /// Its envelope sender.
        from: &'a str,
        /// The host that handed it over.
        peer: &'a str,
        /// Our id of it.
        mail: &'a str,
    },
}

impl<'a> Words<'a> {
    /// One of each kind, to try templates with.
    const SAMPLES: [Words<'static>; 12] = [
        Words::Registration {
            title: "安否確認/一斉通報サービス",
            title_en: "Emergency Service",
            url: "https://www.example.jp/r/AQABAQAAAAAAABJnAABrSdIACQkJCQkJCQkJCQkJCQkJCUDtANnaLFBWYX3ZUDDf628",
            expires: "2026/11/23 07:00",
        },
        Words::ContactTest {
            title: "安否確認/一斉通報サービス",
            url: "https://www.example.jp/c/AQABAgAAAAAAABJnAABrSdIACQkJCQkJCQkJCQkJCQkJCTYqh0cYKq0gYc9tT6Zsm5E",
            expires: "2026/11/23 07:00",
        },
        Self::code_of(CODES[0]),
        Self::code_of(CODES[1]),
        Self::sample_of(NOTICES[0]),
        Self::sample_of(NOTICES[1]),
        Self::sample_of(NOTICES[2]),
        Self::sample_of(NOTICES[3]),
        Self::sample_of(NOTICES[4]),
        Self::sample_of(NOTICES[5]),
        Self::sample_of(NOTICES[6]),
        Words::Forward { to: "postmaster@example.jp", from: "hanako@docomo.ne.jp", peer: "203.0.113.9", mail: "maaa" },
    ];

    const fn code_of(what: &'static str) -> Words<'static> {
        Words::Otp {
            title: "安否確認/一斉通報サービス", what, code: "123 456", expires: "2026/11/23 07:00"
        }
    }

    const fn sample_of(notice: &'static str) -> Words<'static> {
        Words::Security { title: "安否確認/一斉通報サービス", what: notice, at: "2026/11/23 06:00" }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Registration { .. } => "registration",
            Self::ContactTest { .. } => "contact_test",
            Self::Otp { .. } => "otp",
            Self::Security { .. } => "security",
            Self::Forward { .. } => "forward",
        }
    }

    /// The words by the names that templates use.
    fn fields(&self) -> Vec<(&'static str, &'a str)> {
        match *self {
            Self::Registration { title, title_en, url, expires } => {
                vec![("title", title), ("title_en", title_en), ("url", url), ("expires", expires)]
            }
            Self::ContactTest { title, url, expires } => vec![("title", title), ("url", url), ("expires", expires)],
            Self::Otp { title, what, code, expires } => {
                vec![("title", title), ("what", what), ("code", code), ("expires", expires)]
            }
            Self::Security { title, what, at } => vec![("title", title), ("what", what), ("at", at)],
            Self::Forward { to, from, peer, mail } => vec![("to", to), ("from", from), ("peer", peer), ("mail", mail)],
        }
    }

    const fn url(&self) -> Option<&'a str> {
        match *self {
            Self::Registration { url, .. } | Self::ContactTest { url, .. } => Some(url),
            Self::Otp { .. } | Self::Security { .. } | Self::Forward { .. } => None,
        }
    }

    const fn code(&self) -> Option<&'a str> {
        match *self {
            Self::Otp { code, .. } => Some(code),
            Self::Registration { .. } | Self::ContactTest { .. } | Self::Security { .. } | Self::Forward { .. } => None,
        }
    }

    fn context(&self) -> Context {
        let mut context = Context::new();
        for (name, word) in self.fields() {
            // A word is a part of a line: a line break in a title would tear the sentence, or the subject.
            context.insert(name, &word.chars().filter(|c| !c.is_control()).collect::<String>());
        }
        context
    }
}

/// One of the two texts of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Subject,
    Body,
}

impl Part {
    const ALL: [Self; 2] = [Self::Subject, Self::Body];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Body => "body",
        }
    }
}

/// A subject and a body, ready to be put into a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// One line.
    pub subject: String,
    /// Lines ending in LF.
    pub body: String,
}

/// What is wrong with one template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct TemplateFault {
    /// The template, as `bilingual/registration.body.tera`.
    pub name: String,
    /// A sentence, or the template engine's report with the place.
    pub problem: String,
}

impl TemplateFault {
    fn new(name: &str, problem: impl fmt::Display) -> Self {
        Self { name: name.to_owned(), problem: problem.to_string() }
    }
}

/// All templates of mails, tried.
#[derive(Clone)]
pub struct Templates(Tera);

impl fmt::Debug for Templates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.get_template_names()).finish()
    }
}

impl Templates {
    /// Takes templates by name and text; one that has a built-in one's name replaces it.
    ///
    /// # Errors
    /// Every fault found, not the first alone: a name that no mail uses, a mistake in the text, a word that does not exist,
    /// a subject of more than one line, a link that is missing, doubled, not alone on its line or too far down.
    pub fn new(files: impl IntoIterator<Item = (String, String)>) -> Result<Self, Vec<TemplateFault>> {
        let mut tera = Tera::new();
        // Mail is plain text: an & in a title stays one.
        tera.autoescape_on(Vec::<&str>::new());
        let mut faults = Vec::new();
        let built_in = BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        for (name, text) in built_in.chain(files) {
            if !names().any(|known| known == name) {
                faults.push(TemplateFault::new(&name, "no mail uses a template of this name"));
            } else if let Err(cause) = tera.add_raw_template(&name, &text) {
                faults.push(TemplateFault::new(&name, cause));
            }
        }
        let templates = Self(tera);
        faults.extend(templates.faults());
        if faults.is_empty() { Ok(templates) } else { Err(faults) }
    }

    /// Renders a mail's subject and body; without a language, or where it has no wording of its own, in both languages.
    ///
    /// # Errors
    /// The engine refused; templates that were taken have rendered before, so only a template that looks at its words (an
    /// `if`, a filter) can come to that.
    pub fn render(&self, language: Option<Language>, words: &Words<'_>) -> Result<Wording, TemplateFault> {
        let folder = language.map_or(BILINGUAL, Language::as_str);
        let [subject, body] = Part::ALL.map(|part| {
            let own = file_name(folder, words, part);
            let name = if self.0.contains_template(&own) { own } else { file_name(BILINGUAL, words, part) };
            self.text(&name, words)
        });
        Ok(Wording { subject: subject?.trim().to_owned(), body: body? })
    }

    fn text(&self, name: &str, words: &Words<'_>) -> Result<String, TemplateFault> {
        self.0.render(name, &words.context()).map_err(|cause| TemplateFault::new(name, cause))
    }

    /// Renders everything with sample values.
    fn faults(&self) -> Vec<TemplateFault> {
        let mut faults = Vec::new();
        for (folder, words, part) in variants() {
            let name = file_name(folder, &words, part);
            if self.0.contains_template(&name) {
                let verdict = self.text(&name, &words).and_then(|text| {
                    complaint(part, &words, &text).map_or(Ok(()), |problem| Err(TemplateFault::new(&name, problem)))
                });
                // What is wrong whatever a notice tells of is said once.
                faults.extend(verdict.err().filter(|fault| !faults.contains(fault)));
            }
        }
        faults
    }
}

fn variants() -> impl Iterator<Item = (&'static str, Words<'static>, Part)> {
    let folders = Language::ALL.map(Language::as_str).into_iter().chain([BILINGUAL]);
    folders.flat_map(|folder| {
        Words::SAMPLES.into_iter().flat_map(move |words| Part::ALL.map(move |part| (folder, words, part)))
    })
}

/// The name of every template that a mail may use.
fn names() -> impl Iterator<Item = String> {
    variants().map(|(folder, words, part)| file_name(folder, &words, part))
}

fn file_name(folder: &str, words: &Words<'_>, part: Part) -> String {
    format!("{folder}/{}.{}.tera", words.name(), part.as_str())
}

/// Says what is wrong with a text that rendered.
fn complaint(part: Part, words: &Words<'_>, text: &str) -> Option<&'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Some("it comes out empty");
    }
    match part {
        Part::Subject if text.contains('\n') => Some("a subject is one line"),
        Part::Subject if text.contains("://") => Some("a URL belongs into the body"),
        Part::Subject if words.code().is_some_and(|code| text.contains(code)) => Some("a code belongs into the body"),
        Part::Subject => None,
        Part::Body => link_complaint(words.url(), text).or_else(|| code_complaint(words.code()?, text)),
    }
}

fn code_complaint(code: &str, body: &str) -> Option<&'static str> {
    match body.matches(code).count() {
        1 if body.find(code).is_some_and(|at| at <= CODE_WITHIN) => None,
        1 => Some("{{ code }} comes too late: a phone that cuts the mail would lose it"),
        _ => Some("{{ code }} has to stand in the mail, once"),
    }
}

fn link_complaint(url: Option<&str>, body: &str) -> Option<&'static str> {
    let urls = body.matches("://").count();
    match url {
        None if urls > 0 => Some("this mail carries no URL"),
        None => None,
        Some(_) if urls > 1 => Some("the mail carries more than one URL"),
        Some(url) if !body.lines().any(|line| line == url) => Some("{{ url }} has to stand alone on a line"),
        Some(url) if body.find(url).is_none_or(|at| at > LINK_WITHIN) => {
            Some("{{ url }} comes too late: a phone that cuts the mail would lose it")
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(name: &str, text: &str) -> Vec<TemplateFault> {
        Templates::new([(name.to_owned(), text.to_owned())]).err().unwrap_or_default()
    }

    fn registration(templates: &Templates, language: Option<Language>) -> Wording {
        templates.render(language, &Words::SAMPLES[0]).unwrap()
    }

    #[test]
    fn r113_to_r116_the_answer_to_an_empty_mail_speaks_both_languages() {
        let wording = registration(&Templates::new([]).unwrap(), None);
        assert_eq!(wording.subject, "メールアドレス登録のご案内 (E-mail address registration)");
        let expected = "\
安否確認/一斉通報サービスより、メールアドレス登録のご案内です。
(E-mail address registration for Emergency Service)

お申し込みを受け付けました。次のURLを開いて、登録を続けてください。
(We have received your request. Open this link to go on.)

https://www.example.jp/r/AQABAQAAAAAAABJnAABrSdIACQkJCQkJCQkJCQkJCQkJCUDtANnaLFBWYX3ZUDDf628

このURLは 2026/11/23 07:00（日本時間）まで使えます。
(The link works until 2026/11/23 07:00, Japan time.)

このメールは、メールアドレスを登録するために空メールを送ってくださった方へ、自動でお送りしています。お心当たりがないときは、何もせずに削除してください。登録は行われません。
(You get this mail because an empty mail was sent to us from your address. If that was not you, just delete it: nothing will be registered.)

--
このメールは送信専用のアドレスからお送りしています。ご返信には対応できません。
(This address only sends mail; nobody reads replies.)
安否確認/一斉通報サービス
";
        assert_eq!(wording.body, expected);
    }

    #[test]
    fn a_one_time_password_that_confirms_a_login_says_what_it_is_for() {
        let templates = Templates::new([]).unwrap();
        for (language, subject, why, factor) in [
            (
                Language::Ja,
                "ログイン確認のワンタイムパスワード 安否確認/一斉通報サービス",
                "\n\nこのメールは、まちがったパスワードが続いたアカウントの確認のため、登録されているアドレスへ自動でお送りしています。\n\n",
                "二要素認証",
            ),
            (
                Language::En,
                "One-time password to confirm a login 安否確認/一斉通報サービス",
                "\n\nYou get this mail because this address is registered, and a login is confirmed after many wrong passwords.\n\n",
                "two-factor",
            ),
        ] {
            let sent = templates.render(Some(language), &Words::SAMPLES[3]).unwrap();
            assert_eq!(sent.subject, subject);
            assert!(sent.body.contains(why) && sent.body.contains("\n\n123 456\n\n"), "{}", sent.body);
            assert!(!sent.body.contains(factor) && !sent.body.contains("\n\n\n"), "{}", sent.body);
        }
    }

    #[test]
    fn r038_r039_a_one_time_password_comes_in_the_language_of_the_member() {
        let templates = Templates::new([]).unwrap();
        let sent = |language| templates.render(Some(language), &Words::SAMPLES[2]).unwrap();
        let ja = sent(Language::Ja);
        assert_eq!(ja.subject, "二要素認証ワンタイムパスワード 安否確認/一斉通報サービス");
        let expected = "\
安否確認/一斉通報サービスからのお知らせです。

ワンタイムパスワードを画面に入力してください。

123 456

有効期限：2026/11/23 07:00（日本時間）

お心当たりがないときは、第三者があなたのパスワードを使ったおそれがあります。すぐにパスワードを変更してください。

このメールは、二要素認証の宛先に指定されたアドレスへ自動でお送りしています。

-- 安否確認/一斉通報サービス --
";
        assert_eq!(ja.body, expected);
        let en = sent(Language::En);
        assert_eq!(en.subject, "One-time password for two-factor authentication 安否確認/一斉通報サービス");
        let expected = "\
A notice from 安否確認/一斉通報サービス

Enter this one-time password on the page.

123 456

Valid until: 2026/11/23 07:00 (Japan time)

If you were not logging in, somebody else may have used your password. Change your password at once.

You get this mail because this address was named to receive codes for two-factor authentication.

-- 安否確認/一斉通報サービス --
";
        assert_eq!(en.body, expected);
    }

    #[test]
    fn every_notice_says_what_was_done_when_and_what_to_do_about_it() {
        let templates = Templates::new([]).unwrap();
        for (language, subject, first, at, last) in [
            (
                Language::Ja,
                "アカウントに関するお知らせ 安否確認/一斉通報サービス",
                "安否確認/一斉通報サービスからのお知らせです。\n\n",
                "\n\n日時：2026/11/23 06:00（日本時間）\n\nお心当たりがないときは",
                "\n\n-- 安否確認/一斉通報サービス --\n",
            ),
            (
                Language::En,
                "A notice about your account 安否確認/一斉通報サービス",
                "A notice from 安否確認/一斉通報サービス\n\n",
                "\n\nTime: 2026/11/23 06:00 (Japan time)\n\nIf this was not you",
                "\n\n-- 安否確認/一斉通報サービス --\n",
            ),
        ] {
            let mut told = std::collections::BTreeSet::new();
            for notice in NOTICES {
                let wording = templates.render(Some(language), &Words::sample_of(notice)).unwrap();
                assert_eq!(wording.subject, subject);
                let body = wording.body.strip_prefix(first).and_then(|body| body.strip_suffix(last)).unwrap();
                let (what, rest) = body.split_once(at).unwrap_or_else(|| panic!("{body}"));
                assert!(!what.trim().is_empty() && !what.contains('\n') && !rest.contains("://"), "{what}");
                told.insert(what.to_owned());
            }
            assert_eq!(told.len(), NOTICES.len(), "{told:?}");
        }
    }

    #[test]
    fn a_file_replaces_the_built_in_template_of_its_name_and_a_language_its_own() {
        let files = [("ja/registration.subject.tera", "日本語だけ\n"), ("bilingual/registration.subject.tera", "both")];
        let templates = Templates::new(files.map(|(name, text)| (name.to_owned(), text.to_owned()))).unwrap();
        assert_eq!(registration(&templates, Some(Language::Ja)).subject, "日本語だけ");
        assert_eq!(registration(&templates, Some(Language::En)).subject, "both");
        assert_eq!(registration(&templates, None).subject, "both");
    }

    #[test]
    fn marks_of_html_stay_as_they_are_and_a_title_cannot_break_a_line() {
        let templates =
            Templates::new([("bilingual/forward.subject.tera".to_owned(), "{{ from }}".to_owned())]).unwrap();
        let words = Words::Forward { to: "", from: "A&B <c>\r\nBcc: x", peer: "", mail: "" };
        assert_eq!(templates.render(None, &words).unwrap().subject, "A&B <c>Bcc: x");
    }

    #[test]
    fn r010_r012_every_fault_is_found_by_name() {
        let url = "{{ url }}";
        let long = format!("{}\n{url}", "あ".repeat(300));
        let late = format!("{}\n{{{{ code }}}}", "あ".repeat(100));
        for (name, text, problem) in [
            ("bilingual/registraton.body.tera", "x", "no mail uses"),
            ("fr/registration.body.tera", "x", "no mail uses"),
            ("bilingual/registration.body.tera", "{{ url", "registration.body.tera"),
            ("bilingual/registration.body.tera", "{% if title %}\n{{ url }}", "registration.body.tera"),
            ("ja/registration.body.tera", "{{ link }}", "link"),
            ("ja/registration.body.tera", "no link", "alone on a line"),
            ("ja/registration.body.tera", "here: {{ url }}", "alone on a line"),
            ("ja/registration.body.tera", "{{ url }}\nhttps://example.jp/", "more than one"),
            ("ja/registration.body.tera", &long, "too late"),
            ("en/registration.subject.tera", "one\ntwo", "one line"),
            ("en/registration.subject.tera", "{{ url }}", "belongs into the body"),
            ("en/registration.subject.tera", " \n", "empty"),
            ("ja/contact_test.body.tera", "no link", "alone on a line"),
            ("en/contact_test.body.tera", "{{ url }} {{ title_en }}", "title_en"),
            ("en/forward.body.tera", "see https://example.jp/", "carries no URL"),
            ("ja/otp.body.tera", "{{ code }}\nhttps://example.jp/", "carries no URL"),
            ("ja/otp.body.tera", "{{ title }}", "has to stand in the mail, once"),
            ("en/otp.body.tera", "{{ code }} {{ code }}", "has to stand in the mail, once"),
            ("en/otp.body.tera", &late, "too late"),
            ("ja/otp.subject.tera", "{{ code }}", "a code belongs into the body"),
        ] {
            let faults = faults_of(name, text);
            assert_eq!(faults.len(), 1, "{name} {text}: {faults:?}");
            assert_eq!(faults[0].name, name);
            assert!(faults[0].problem.contains(problem), "{name}: {}", faults[0].problem);
        }
    }

    #[test]
    fn several_faults_are_reported_together() {
        let files = [("a", ""), ("en/forward.body.tera", "{{ nothing }}"), ("ja/forward.body.tera", "{{")];
        let faults = Templates::new(files.map(|(name, text)| (name.to_owned(), text.to_owned()))).unwrap_err();
        let names: Vec<&str> = faults.iter().map(|fault| fault.name.as_str()).collect();
        assert_eq!(names, ["a", "ja/forward.body.tera", "en/forward.body.tera"]);
    }
}
