//! Every sentence of the pages, Japanese and English side by side (requirements R058–R060).
//!
//! Knows nothing of pages: a template names a text as `t.key` and fills `{…}` itself. What always holds: no text exists in one
//! language only (the compiler sees to it), none is unused, and both have the same places to fill (the tests see to it).

use crate::model::Language;

macro_rules! texts {
    ($($key:ident: $ja:literal, $en:literal;)*) => {
        /// The texts of one language.
        #[derive(Debug, serde::Serialize)]
        pub(super) struct Texts {
            $(pub(super) $key: &'static str,)*
        }

        static JA: Texts = Texts { $($key: $ja,)* };
        static EN: Texts = Texts { $($key: $en,)* };

        #[cfg(test)]
        const PAIRS: &[(&str, &str, &str)] = &[$((stringify!($key), $ja, $en),)*];
    };
}

/// Gives the texts of a language.
pub(super) const fn texts(language: Language) -> &'static Texts {
    match language {
        Language::Ja => &JA,
        Language::En => &EN,
    }
}

texts! {
    // The frame around every page.
    skip: "本文へ進む", "Skip to the content";
    language: "表示言語", "Language";
    error_prefix: "エラー：", "Error: ";
    required: "※必須", "Required";
    signed_in: "ログイン中", "Logged in";
    log_out: "ログアウト", "Log out";
    steps: "登録の流れ", "Steps";
    step_login: "ログイン", "Log in";
    step_priority: "優先順位", "Priority";
    step_done: "完了", "Done";
    step_finished: "（済み）", "(done)";
    error_title: "入力をお確かめください", "Please check what you entered";

    // Help, at the foot of every page.
    help: "お困りのとき", "Need help?";
    help_mail: "メールが届かない", "The mail does not arrive";
    help_mail_1: "携帯電話の迷惑メール設定で、次のアドレスからのメールと、URL付きメールを受け取れるようにしてください。", "In the spam settings of your phone, allow mail from this address, and mail that contains links:";
    help_mail_2: "設定してから、空メールをもう一度お送りください。", "Then send the empty mail once more.";
    help_login: "ログインできない", "I cannot log in";
    help_login_1: "団体コード、ID、最初のパスワードは、お勤め先など団体の管理者がお渡ししたものです。わからないときは、管理者におたずねください。", "The organisation code, the ID and the first password come from your organisation’s administrator. If you do not know them, please ask there.";
    help_login_2: "まちがいが続くと、しばらく（長くても1分）受け付けません。少し待ってから、もう一度お試しください。", "After several wrong tries the page waits a little (one minute at most). Please try again after that.";

    // How to send an empty mail: the way on from most troubles.
    send_title: "空メールの送り方", "How to send an empty mail";
    send_1: "登録したい携帯電話などから、下のアドレスあてにメールを作ります。", "On the phone whose address you want to register, write a mail to the address below.";
    send_2: "件名も本文も書かずに、そのまま送ります。", "Leave the subject and the text empty, and send it.";
    send_3: "すぐに返信が届きます。返信の中のリンクを押してください。", "An answer arrives within moments. Press the link in it.";
    send_to: "あて先", "To";
    send_button: "空メールを作る", "Write the empty mail";

    // Home.
    home_title: "メールアドレスの登録", "Register your mail address";
    home_1: "災害などのときに連絡を受け取るメールアドレスを、空メールを1通送るだけで登録できます。", "Register the mail address at which you want to be reached in an emergency. All it takes is one empty mail.";

    // Landing page: the address, then the login.
    landing_title: "メールアドレスの登録", "Register your mail address";
    address_title: "登録するメールアドレス", "Address to be registered";
    address_check: "このアドレスでよいか、お確かめください。ちがうときは、登録したいアドレスから空メールを送り直してください。", "Please check that this is right. If it is not, send an empty mail again from the address you want to register.";
    login_title: "ログイン", "Log in";
    login_lead: "団体の管理者から受け取ったものを入力してください。", "Enter what you received from your organisation’s administrator.";
    org: "団体コード", "Organisation code";
    id: "ID", "ID";
    width_hint: "全角でも半角でも、大文字でも小文字でもかまいません。", "Capital or small letters make no difference.";
    password: "パスワード", "Password";
    show_password: "文字を見ながら入力する", "Show the password while typing";
    hide_password: "文字を隠して入力する", "Hide the password while typing";
    login_button: "ログイン", "Log in";
    valid_until: "このページは {time} まで使えます。登録が終わるまで、何も変わりません。", "This page works until {time}. Nothing changes before you finish.";
    login_wrong: "ログインできませんでした。団体コード、ID、パスワードをもう一度お確かめください。", "You could not be logged in. Please check the organisation code, the ID and the password.";
    login_wait: "まちがいが続いたときは、1分待ってからお試しください。", "After several wrong tries, wait one minute and try again.";
    org_empty: "団体コードを入力してください。", "Please enter the organisation code.";
    id_empty: "IDを入力してください。", "Please enter the ID.";
    password_empty: "パスワードを入力してください。", "Please enter the password.";
    stale: "時間がたったため、送信を受け付けられませんでした。もう一度お願いします。", "The page was open for too long and your entry could not be taken. Please try again.";
    lapsed: "しばらく操作がなかったため、ログアウトしました。もう一度ログインしてください。", "You were logged out because nothing happened for a while. Please log in again.";

    // First login: a password of one's own.
    change_title: "新しいパスワードを決める", "Choose a new password";
    change_lead: "はじめてのログインです。これから使う、自分だけのパスワードを決めてください。", "This is your first login. Please choose a password of your own.";
    change_rule_1: "半角の英字（大文字・小文字）、数字、記号で、32文字まで", "Letters, digits and marks, up to 32 characters";
    change_rule_2: "長いほど安全です。関係のない言葉をいくつかつなげると、覚えやすくなります。", "Longer is safer. A few unrelated words in a row are easy to remember.";
    change_rule_3: "団体コード、ID、最初のパスワード、「123456」のようによく使われるものは選べません。", "Not the organisation code, the ID, the first password, or one that many people use, such as “123456”.";
    new_password: "新しいパスワード", "New password";
    new_again: "新しいパスワード（もう一度）", "New password (again)";
    change_button: "このパスワードにする", "Use this password";
    change_empty: "新しいパスワードを入力してください。", "Please enter a new password.";
    change_character: "半角の英字、数字、記号だけを使ってください。全角の文字と空白は使えません。", "Please use only half-width letters, digits and marks, without blanks.";
    change_too_long: "32文字までにしてください。", "Please use 32 characters or fewer.";
    change_org_code: "団体コードと同じパスワードは使えません。ほかの人にすぐわかってしまいます。", "The password must not be the organisation code: others would guess it at once.";
    change_login_id: "IDと同じパスワードは使えません。ほかの人にすぐわかってしまいます。", "The password must not be the ID: others would guess it at once.";
    change_start: "最初のパスワードは使えません。管理者も知っているため、別のものにしてください。", "The first password cannot be kept, as the administrator knows it. Please choose another one.";
    change_known_bad: "多くの人が使っているか、短すぎるパスワードです。すぐに当てられてしまうため、別のものにしてください。", "Many people use this password, or it is too short. It would be guessed at once; please choose another one.";
    change_mismatch: "2回の入力がちがっています。同じパスワードを2回入力してください。", "The two entries differ. Please enter the same password twice.";
    change_done: "パスワードを変更しました。次からは新しいパスワードでログインしてください。", "Your password has been changed. From now on, log in with the new one.";

    // Priority.
    priority_title: "優先順位を選ぶ", "Choose the priority";
    priority_lead: "メールアドレスは3つまで登録できます。連絡は、優先順位1のアドレスから順に送られます。", "You can register up to three addresses. Messages go to priority 1 first, then 2, then 3.";
    priority_advice: "いちばん早く気がつくアドレスを、優先順位1にすることをおすすめします。", "We recommend priority 1 for the address where you notice mail soonest.";
    priority: "優先順位", "Priority";
    priority_number: "優先順位{number}", "Priority {number}";
    slot_free: "まだ登録がありません", "Nothing registered yet";
    slot_taken: "今の登録：", "Now: ";
    slot_own: "このアドレスが登録されています", "This address is registered here";
    already_at: "このアドレスは、優先順位{number}に登録されています。別の番号を選ぶと、そちらへ移ります。", "This address is registered with priority {number}. If you choose another one, it moves there.";
    priority_button: "登録する", "Register";
    priority_empty: "優先順位を1つ選んでください。", "Please choose a priority.";

    // Confirmation where the slot is taken.
    confirm_title: "登録の確認", "Please confirm";
    confirm_lead: "優先順位{number}には、別のアドレスが登録されています。入れ替えてもよろしいですか。", "Another address is registered with priority {number}. Do you want to replace it?";
    confirm_old: "今のアドレス", "Present address";
    confirm_new: "新しいアドレス", "New address";
    confirm_lost: "今のアドレスは登録から外れ、連絡が届かなくなります。", "The present address will be removed and will no longer receive messages.";
    confirm_swapped: "今のアドレスは、優先順位{number}に移ります。", "The present address moves to priority {number}.";
    confirm_button: "入れ替えて登録する", "Replace and register";
    confirm_back: "もどって選び直す", "Go back and choose again";

    // Done.
    done_title: "登録が完了しました", "Your address is registered";
    done_lead: "災害などのとき、このアドレスに連絡が届きます。", "In an emergency you will be reached at this address.";
    done_addresses: "登録されているアドレス", "Your registered addresses";
    done_new: "今回の登録", "registered now";
    done_close: "ログアウトして、この画面を閉じてください。", "Please log out and close this page.";

    // Logging out.
    logout_title: "ログアウトの確認", "Log out?";
    logout_lead: "ログアウトします。よろしいですか。", "You are about to log out.";
    logout_cancel: "キャンセル", "Cancel";
    logged_out_title: "ログアウトしました", "You are logged out";
    logged_out_1: "ご利用ありがとうございました。この画面を閉じてください。", "Thank you. You can close this page now.";
    log_in_again: "ログインし直す", "Log in again";

    // Links that do not open a registration.
    cut_title: "リンクが途中で切れています", "The link is incomplete";
    cut_1: "リンクの一部だけが開かれたようです。届いたメールにもどり、リンクの行を始めから終わりまで選んで開いてください。", "Only a part of the link was opened. Go back to the mail and open the whole line, from beginning to end.";
    cut_2: "うまくいかないときは、空メールをもう一度送ると、新しいリンクが届きます。", "If that does not help, send another empty mail and you will get a new link.";
    expired_title: "リンクの期限が過ぎました", "The link has expired";
    expired_1: "このリンクの期限は {time} まででした。アドレスは登録されていません。", "This link was valid until {time}. The address has not been registered.";
    expired_2: "空メールをもう一度送ると、すぐに新しいリンクが届きます。", "Send another empty mail and you will get a new link at once.";
    used_title: "この登録はもう済んでいます", "This registration is already done";
    used_1: "{address} は {time} に登録されました。これ以上、することはありません。", "{address} was registered on {time}. There is nothing more to do.";
    used_2: "ほかのアドレスも登録するときは、そのアドレスから空メールを送ってください。", "To register another address, send an empty mail from that address.";
    forged_title: "このリンクは使えません", "This link cannot be used";
    forged_1: "リンクの文字が変わっているか、このサービスが送ったリンクではありません。", "The link was altered, or it was not sent by this service.";
    forged_2: "登録するには、空メールを送って、新しいリンクを受け取ってください。", "To register, send an empty mail and you will get a new link.";

    // Notices that may meet anybody.
    cookies_title: "Cookie（クッキー）を許可してください", "Please allow cookies";
    cookies_1: "このサービスは、ログインのために Cookie を使います。お使いのブラウザでは、Cookie が使えない設定になっています。", "This service needs cookies for the login. Your browser does not let it use them.";
    cookies_2: "ブラウザの設定で Cookie を許可してから、もう一度お試しください。", "Please allow cookies in the settings of your browser, then try again.";
    try_again: "もう一度ためす", "Try again";
    foreign_title: "この操作は受け付けられません", "This could not be accepted";
    foreign_1: "ほかのサイトから送られた操作のため、受け付けませんでした。何も変わっていません。", "It was sent from another site, so it was not accepted. Nothing has changed.";
    foreign_2: "メールのリンクから開き直してください。", "Please open the link in the mail again.";
    missing_title: "ページが見つかりません", "Page not found";
    missing_1: "アドレスがまちがっているか、ページがなくなりました。メールのリンクから開き直してください。", "The address is wrong or the page is gone. Please open the link in the mail again.";
    too_large_title: "送られた内容が大きすぎます", "Too much was sent";
    too_large_1: "入力が長すぎるため、受け付けられませんでした。何も変わっていません。前のページにもどり、入力し直してください。", "What was entered is too long and was not accepted. Nothing has changed. Please go back and enter it again.";
    busy_title: "ただいま混み合っています", "Very busy at the moment";
    busy_1: "少し待ってから、もう一度お試しください。何も変わっていません。", "Please try again in a little while. Nothing has changed.";
    broken_title: "処理できませんでした", "Something went wrong";
    broken_1: "こちらの不具合で処理できませんでした。少し待ってから、もう一度お試しください。", "This is a fault on our side. Please try again in a little while.";
    start_page: "はじめのページへ", "To the start page";

    // The captured mails of a demonstration.
    outbox_title: "送信箱（デモ用）", "Outbox (demonstration)";
    outbox_lead: "送信されるはずだったメールです。新しい順に並んでいます。", "Mails that would have been sent, newest first.";
    outbox_empty: "まだメールはありません。", "No mail yet.";
    outbox_from: "差出人", "From";
    outbox_no_subject: "（件名なし）", "(no subject)";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text asks to be filled in.
    fn places(text: &str) -> Vec<&str> {
        let mut found: Vec<&str> =
            text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or_default()).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn r060_both_languages_have_every_text_and_the_same_places_to_fill() {
        for (key, ja, en) in PAIRS {
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
        for (key, ja, en) in PAIRS {
            assert!(!japanese(en), "{key}: {en}");
            assert!(japanese(ja) || *key == "id", "{key}: {ja}");
        }
    }

    #[test]
    fn every_text_is_used_by_a_page() {
        let mut pages = String::new();
        for folder in ["/src/web", "/src/web/pages"] {
            for entry in std::fs::read_dir(format!("{}{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() && !path.ends_with("texts.rs") {
                    pages.push_str(&std::fs::read_to_string(path).unwrap());
                }
            }
        }
        for (key, ..) in PAIRS {
            let named = pages.match_indices(&format!("t.{key}")).any(|(at, name)| {
                let next = pages[at + name.len()..].chars().next();
                !next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            assert!(named, "no page uses the text {key}");
        }
    }
}
