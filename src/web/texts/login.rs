//! Texts of the login form, wherever it stands.

texts! {
    title: "ログイン", "Log in";
    lead: "団体の管理者から受け取ったものを入力してください。パスワードを変更した方は、変更後のものを入力してください。", "Enter what you received from your organisation’s administrator. If you have changed your password, enter the new one.";
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
    wrong: "ログインできませんでした。団体コード、ID、パスワードをもう一度お確かめください。家族コードは、家族ユーザの方だけが入力してください。", "You could not be logged in. Please check the organisation code, the ID and the password.";
    expired: "最初のパスワードの有効期限（14日）が過ぎているため、ログインできません。団体の管理者に、新しいパスワードをお求めください。", "You could not be logged in, as your first password was valid for 14 days. Please ask your organisation’s administrator for a new one.";
    busy: "ただいま混み合っていて、ログインできませんでした。少し待ってから、パスワードをもう一度入力してください。", "The service is very busy, so you could not be logged in. Please wait a little and enter your password again.";
    wait: "まちがいが続いたときは、1分待ってからお試しください。", "After several wrong tries, wait one minute and try again.";
    mailed: "それでもログインできないときは、登録してあるアドレスから空メールを送り、届いたリンクからログインしてください。送り先は、下の「メールが届かない」から開く「携帯電話会社ごとの手順」にあります。空メールを送れないときは、管理者におたずねください。", "If that does not help, send an empty mail from an address you have registered, and log in through the link that you get. “The mail does not arrive” below leads to the page that says where to send it. If you cannot send one, ask your administrator.";
    org_empty: "団体コードを入力してください。", "Please enter the organisation code.";
    id_empty: "IDを入力してください。", "Please enter the ID.";
    password_empty: "パスワードを入力してください。", "Please enter the password.";
}
