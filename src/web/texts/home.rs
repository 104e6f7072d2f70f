//! Texts of the start page, and of logging out.

texts! {
    // The start page.
    title: "ログイン", "Log in";
    register: "メールアドレスの登録", "Register your email address";
    lead: "災害などのときに連絡を受け取るメールアドレスを、空メールを1通送るだけで登録できます。", "Register the email address at which you want to be reached in an emergency. All it takes is one empty mail.";

    // Logging out.
    logout_title: "ログアウトの確認", "Log out?";
    logout_lead: "ログアウトします。よろしいですか。", "You are about to log out.";
}
