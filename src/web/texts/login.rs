//! Texts of the login form, wherever it stands.

texts! {
    title: "ログイン", "Log in";
    lead: "団体の管理者から受け取ったものを入力してください。", "Enter what you received from your organisation’s administrator.";
    family: "家族コード", "Family code";
    family_hint: "家族ユーザの方だけが使います。一般ユーザの方は、何も入力しないでください。", "Leave this empty unless you are a family user.";
    again_title: "パスワードの確認", "Your password, please";
    again_lead: "安全のため、続ける前にパスワードをもう一度入力してください。", "To keep your account safe, please enter your password once more before you go on.";
    again_button: "続ける", "Go on";
    again_wrong: "パスワードがちがっています。もう一度お確かめください。", "The password is not right. Please check it.";
    org: "団体コード", "Organisation code";
    id: "ID", "ID";
    width_hint: "全角でも半角でも、大文字でも小文字でもかまいません。", "Capital or small letters make no difference.";
    password: "パスワード", "Password";
    button: "ログイン", "Log in";
    wrong: "ログインできませんでした。団体コード、ID、パスワードをもう一度お確かめください。", "You could not be logged in. Please check the organisation code, the ID and the password.";
    expired: "最初のパスワードの有効期限（14日）が過ぎているため、ログインできません。団体の管理者に、新しいパスワードをお求めください。", "You could not be logged in, as your first password was valid for 14 days. Please ask your organisation’s administrator for a new one.";
    wait: "まちがいが続いたときは、1分待ってからお試しください。", "After several wrong tries, wait one minute and try again.";
    mailed: "それでもログインできないときは、登録してあるアドレスから空メールを送り、届いたリンクからログインしてください。送り先は「メールが届かないとき」のページにあります。空メールを送れないときは、管理者におたずねください。", "If that does not help, send an empty mail from an address you have registered, and log in behind the link that you get. The page on mail that does not arrive says where to send it. If you cannot send one, ask your administrator.";
    org_empty: "団体コードを入力してください。", "Please enter the organisation code.";
    id_empty: "IDを入力してください。", "Please enter the ID.";
    password_empty: "パスワードを入力してください。", "Please enter the password.";
}
