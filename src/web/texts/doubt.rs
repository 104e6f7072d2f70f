//! Texts of the confirmation by mail, after very many wrong passwords.

texts! {
    title: "ログインの確認", "Confirm your login";
    lead: "このIDで、まちがったパスワードが何度も入力されています。ご本人であることを確かめるため、登録してあるアドレスにワンタイムパスワードを送ります。", "Many wrong passwords were entered for this ID. To make sure that it is you, we send a one-time password to an address you have registered.";
    once: "この確認が必要なのは、はじめて使う端末だけです。いつもお使いの端末では、パスワードだけでログインできます。", "Only a device that is new to us is asked for this. On a device you have used before, the password is enough.";
    choose: "今すぐメールを見られるアドレスを選んでください。この画面は閉じないでください。", "Choose an address whose mail you can read now, and leave this page open.";
    send_to: "{address} に送る", "Send it to {address}";
    elsewhere: "どのアドレスのメールも見られないときは、いつもお使いの端末からログインするか、管理者に新しいパスワードをお求めください。", "If you cannot read the mail of any address, log in on a device you have used before, or ask your administrator for a new password.";
    none: "送ることのできるアドレスがなくなりました。ログアウトして、もう一度ログインしてください。", "There is no address any more that it can be sent to. Please log out and log in again.";
    paused: "まちがいが多いため、24時間受け付けません。いつもお使いの端末からログインするか、登録してあるアドレスから空メールを送り、届いたリンクからログインしてください。", "After many wrong tries nothing is accepted here for 24 hours. Log in on a device you have used before, or send an empty mail from an address you have registered and log in through the link that you get.";
    too_soon_else: "お急ぎのときは、いつもお使いの端末からログインするか、登録してあるアドレスから空メールを送ってください。", " If it is urgent, log in on a device you have used before, or send an empty mail from an address you have registered.";
}
