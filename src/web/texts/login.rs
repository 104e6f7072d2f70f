//! Texts of the login form, wherever it stands.

texts! {
    org: "団体コード", "Organisation code";
    id: "ID", "ID";
    width_hint: "全角でも半角でも、大文字でも小文字でもかまいません。", "Capital or small letters make no difference.";
    password: "パスワード", "Password";
    button: "ログイン", "Log in";
    wrong: "ログインできませんでした。団体コード、ID、パスワードをもう一度お確かめください。", "You could not be logged in. Please check the organisation code, the ID and the password.";
    wait: "まちがいが続いたときは、1分待ってからお試しください。", "After several wrong tries, wait one minute and try again.";
    org_empty: "団体コードを入力してください。", "Please enter the organisation code.";
    id_empty: "IDを入力してください。", "Please enter the ID.";
    password_empty: "パスワードを入力してください。", "Please enter the password.";
}
