//! Every sentence of the pages, Japanese and English side by side (requirements R058–R060).
//!
//! Knows nothing of pages: a template names a text of the frame as `t.key`, one of an area as `t.area.key`, and fills `{…}`
//! itself. An area is a file of its own below `texts/`, and a line in the list of areas. What always holds: no text exists in
//! one language only (the compiler sees to it), none is unused, and both have the same places to fill (the tests see to it).

use crate::model::{Language, Timestamp};

/// A text as the tests see it: its name behind `t.`, the Japanese, the English.
#[cfg(test)]
type Pair = (String, &'static str, &'static str);

macro_rules! texts {
    (areas { $($area:ident;)* } $($key:ident: $ja:literal, $en:literal;)*) => {
        $(mod $area;)*

        /// The texts of one language.
        #[derive(Debug, serde::Serialize)]
        pub(in crate::web) struct Texts {
            $(pub(in crate::web) $area: $area::Texts,)*
            $(pub(in crate::web) $key: &'static str,)*
        }

        static JA: Texts = Texts { $($area: $area::JA,)* $($key: $ja,)* };
        static EN: Texts = Texts { $($area: $area::EN,)* $($key: $en,)* };

        #[cfg(test)]
        fn pairs() -> Vec<Pair> {
            let areas: &[(&str, fn() -> Vec<Pair>)] = &[$((stringify!($area), $area::pairs),)*];
            let of_area = |(area, pairs): &(&str, fn() -> Vec<Pair>)| {
                pairs().into_iter().map(|(key, ja, en)| (format!("{area}.{key}"), ja, en)).collect::<Vec<_>>()
            };
            let frame = [$((stringify!($key).to_owned(), $ja, $en),)*];
            frame.into_iter().chain(areas.iter().flat_map(of_area)).collect()
        }
    };
    ($($key:ident: $ja:literal, $en:literal;)*) => {
        /// The texts of this area in one language.
        #[derive(Debug, serde::Serialize)]
        pub(in crate::web) struct Texts {
            $(pub(in crate::web) $key: &'static str,)*
        }

        pub(super) const JA: Texts = Texts { $($key: $ja,)* };
        pub(super) const EN: Texts = Texts { $($key: $en,)* };

        #[cfg(test)]
        pub(super) fn pairs() -> Vec<super::Pair> {
            vec![$((stringify!($key).to_owned(), $ja, $en),)*]
        }
    };
}

/// Gives the texts of a language.
pub(super) const fn texts(language: Language) -> &'static Texts {
    match language {
        Language::Ja => &JA,
        Language::En => &EN,
    }
}

/// Writes a moment to the minute, in Japan's time; no line ends within it.
pub(super) fn moment(at: Timestamp) -> String {
    at.minute_jst().replace(' ', "\u{a0}")
}

texts! {
    areas {
        account;
        code;
        arrival;
        contact;
        doubt;
        home;
        login;
        notice;
        outbox;
        password;
        profile;
        reach;
        register;
        two_factor;
    }

    // The frame around every page.
    skip: "本文へ進む", "Skip to the content";
    language: "表示言語", "Language";
    error_prefix: "エラー：", "Error: ";
    required: "※必須", "Required";
    signed_in: "ログイン中", "Logged in";
    last_login: "前回のログイン：{time}", "Last login: {time}";
    tabs: "メニュー", "Menu";
    log_out: "ログアウト", "Log out";
    error_title: "入力をお確かめください", "Please check what you entered";
    error_note: "ご確認ください", "Please note";
    cancel: "キャンセル", "Cancel";
    idle: "しばらく操作がないため、あと5分ほどで自動的にログアウトします。", "Nothing has happened for a while: you will be logged out in about five minutes.";
    idle_stay: "ログインを続ける", "Stay logged in";

    // Help, at the foot of every page.
    help: "お困りのとき", "Need help?";
    help_mail: "メールが届かない", "The mail does not arrive";
    help_mail_1: "携帯電話の迷惑メール設定で、次のアドレスからのメールと、URL付きメールを受け取れるようにしてください。", "In the spam settings of your phone, allow mail from this address, and mail that contains links:";
    help_mail_2: "設定してから、メールを送る操作をもう一度してください。", "Then repeat the step that sends the mail.";
    help_mail_more: "携帯電話会社ごとの手順を見る", "Step by step, for each mail service";
    help_login: "ログインできない", "I cannot log in";
    help_login_1: "団体コード、ID、最初のパスワードは、お勤め先など団体の管理者がお渡ししたものです。わからないときは、管理者におたずねください。", "The organisation code, the ID and the first password come from your organisation’s administrator. If you do not know them, please ask there.";
    help_login_2: "まちがいが続くと、しばらく（長くても1分）受け付けません。少し待ってから、もう一度お試しください。", "After several wrong tries the page waits a little (one minute at most). Please try again after that.";
    manuals: "利用規約・マニュアル等", "Terms and manuals";

    // How to send an empty mail: the way on from most troubles.
    send_title: "空メールの送り方", "How to send an empty mail";
    send_1: "登録したい携帯電話などから、下のアドレス宛てにメールを作ります。", "On the phone whose address you want to register, write a mail to the address below.";
    send_2: "件名も本文も書かずに、そのまま送ります。", "Leave the subject and the text empty, and send it.";
    send_3: "すぐに返信が届きます。返信の中のリンクを押してください。", "An answer arrives within moments. Press the link in it.";
    send_to: "宛先", "To";
    send_button: "空メールを作る", "Write the empty mail";

    // A form that came too late.
    stale: "時間がたったため、送信を受け付けられませんでした。もう一度お願いします。", "The page was open for too long and your entry could not be taken. Please try again.";
    done_before: "その操作は、すでに受け付けています。ログインの画面が出たときは、もう一度ログインしてください。", "That was taken a moment before. If you are asked to log in, please do so once more.";
    unproven: "今のパスワードを確認してから時間がたったため、まだ変更していません。今のパスワードを確認したあと、新しいパスワードをもう一度入力してください。", "Nothing has been changed yet, as some time has passed since you typed your present password. Please enter it now, and then the new one again.";
    kept: "しばらく操作がなかったため、ログアウトしました。入力の途中だった内容は残してあります。もう一度ログインすると、続きから入力できます。", "You were logged out because nothing happened for a while. What you had entered has been kept: log in again to go on with it.";
    restored: "ログアウトする前に入力していた内容を、元どおりにしました。確かめてから、もう一度送ってください。", "What you had entered before you were logged out is back. Please check it and send it again.";
    moved: "ほかの画面でログインやパスワードの変更などがあったため、まだ受け付けていません。入力した内容は残してあります。確かめて、もう一度送ってください。", "You logged in or changed your password in another window, so this has not been taken yet. What you entered has been kept: please check it and send it again.";
    lapsed: "しばらく操作がなかったため、ログアウトしました。もう一度ログインしてください。", "You were logged out because nothing happened for a while. Please log in again.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What a text asks to be filled in.
    fn places(text: &str) -> Vec<&str> {
        let mut found: Vec<&str> =
            text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or_default()).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn r060_both_languages_have_every_text_and_the_same_places_to_fill() {
        for (key, ja, en) in pairs() {
            assert!(!ja.is_empty(), "{key}");
            assert!(!en.is_empty(), "{key}");
            assert_eq!(places(ja), places(en), "{key}");
        }
        assert_eq!(texts(Language::Ja).required, "※必須");
        assert_eq!(texts(Language::En).required, "Required");
    }

    #[test]
    fn the_english_side_is_english_and_the_japanese_side_japanese() {
        let japanese = |text: &str| text.chars().any(|c| ('ぁ'..='龥').contains(&c));
        for (key, ja, en) in pairs() {
            assert!(!japanese(en), "{key}: {en}");
            assert!(japanese(ja) || key == "login.id", "{key}: {ja}");
        }
    }

    #[test]
    fn every_text_is_used_by_a_page() {
        let mut pages = String::new();
        let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web")];
        while let Some(path) = left.pop() {
            if path.is_dir() && !path.ends_with("texts") {
                left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.is_file() && !path.ends_with("texts.rs") {
                pages.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
        for (key, ..) in pairs() {
            let named = pages.match_indices(&format!("t.{key}")).any(|(at, name)| {
                let next = pages[at + name.len()..].chars().next();
                !next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            assert!(named, "no page uses the text {key}");
        }
    }
}
