//! The page behind the link of a test mail.

texts! {
    title: "テストメールの確認", "Confirm the test mail";
    address: "メールが届いたアドレス", "The mail arrived at";
    lead: "テストメールが届いたら、下のボタンを押してください。このアドレスに届くことが確認できます。", "If the test mail has arrived, press the button below. That confirms that mail arrives at this address.";
    button: "メールが届きました", "The mail has arrived";
    until: "この画面は {time}\u{a0}まで使えます。ボタンを押すまで、何も変わりません。", "This page works until {time}. Nothing changes before you press the button.";
    done_title: "届くことを確認しました", "Mail arrives here";
    done_lead: "このアドレスでメールを受け取れます。", "Mail reaches this address.";
    done_next: "アドレスをまだ登録していないときは、ログインして、「個人情報メンテナンス」の画面で「登録」を押してください。", "If you have not registered the address yet, log in and press “Register” on the page “Personal information”.";
    profile: "個人情報メンテナンスへ", "To your personal information";
    log_in: "ログイン画面へ", "To the login page";
    again: "「個人情報メンテナンス」の画面から、テストメールをもう一度送ってください。", "Send another test mail from the page “Personal information”.";
    expired_1: "このリンクの期限は {time}\u{a0}まででした。アドレスの確認は済んでいません。", "This link was valid until {time}. The address has not been confirmed.";
    arrived_title: "確認はもう済んでいます", "This is already confirmed";
    arrived_1: "{time}\u{a0}に、届いたことを確認しました。", "It was confirmed on {time} that the mail arrived.";
}
