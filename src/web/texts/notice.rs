//! Texts of the pages that say one thing.

texts! {
    // Logged out.
    logged_out_title: "ログアウトしました", "You are logged out";
    logged_out_1: "ご利用ありがとうございました。この画面を閉じてください。", "Thank you. You can close this page now.";
    log_in_again: "ログインし直す", "Log in again";

    // Links that do not open a registration.
    cut_title: "リンクが途中で切れています", "The link is incomplete";
    cut_1: "リンクの一部だけが開かれたようです。届いたメールに戻り、リンクの行をはじめから終わりまで選んで開いてください。", "Only a part of the link was opened. Go back to the mail and open the whole line, from beginning to end.";
    cut_2: "うまくいかないときは、空メールをもう一度送ると、新しいリンクが届きます。", "If that does not help, send another empty mail and you will get a new link.";
    expired_title: "リンクの期限が過ぎました", "The link has expired";
    expired_1: "このリンクの期限は {time}\u{a0}まででした。アドレスは登録されていません。", "This link was valid until {time}. The address has not been registered.";
    expired_2: "空メールをもう一度送ると、すぐに新しいリンクが届きます。", "Send another empty mail and you will get a new link at once.";
    used_title: "この登録はもう済んでいます", "This registration is already done";
    used_1: "{address} は {time}\u{a0}に登録されました。これ以上、することはありません。", "{address} was registered on {time}. There is nothing more to do.";
    used_2: "ほかのアドレスも登録するときは、そのアドレスから空メールを送ってください。", "To register another address, send an empty mail from that address.";
    forged_title: "このリンクは使えません", "This link cannot be used";
    forged_1: "リンクの文字が変わっているか、このサービスが送ったリンクではありません。", "The link was altered, or it was not sent by this service.";
    forged_2: "登録するには、空メールを送って、新しいリンクを受け取ってください。", "To register, send an empty mail and you will get a new link.";

    // Notices that may meet anybody.
    cookies_title: "Cookie（クッキー）を許可してください", "Please allow cookies";
    cookies_1: "このサービスは、ログインのために Cookie を使います。お使いのブラウザでは、Cookie が使えない設定になっています。", "This service needs cookies for the login. Your browser does not let it use them.";
    cookies_2: "ブラウザの設定で Cookie を許可してから、もう一度お試しください。", "Please allow cookies in the settings of your browser, then try again.";
    try_again: "もう一度試す", "Try again";
    foreign_title: "この操作は受け付けられません", "This could not be accepted";
    foreign_1: "ほかのサイトから送られた操作のため、受け付けませんでした。何も変わっていません。", "It was sent from another site, so it was not accepted. Nothing has changed.";
    foreign_2: "はじめの画面から、やり直してください。", "Please start again from the start page.";
    missing_title: "ページが見つかりません", "Page not found";
    missing_1: "ページのアドレス（URL）がちがうか、ページがなくなりました。メールから来た方は、リンクを開き直してください。", "The address of the page is wrong, or the page is gone. If you came from a mail, open its link again.";
    too_large_title: "送られた内容が大きすぎます", "Too much was sent";
    too_large_1: "入力が長すぎるため、受け付けられませんでした。何も変わっていません。前の画面に戻り、入力し直してください。", "What was entered is too long and was not accepted. Nothing has changed. Please go back and enter it again.";
    busy_title: "ただいま混み合っています", "Very busy at the moment";
    busy_1: "少し待ってから、もう一度お試しください。何も変わっていません。", "Please try again in a little while. Nothing has changed.";
    broken_title: "処理できませんでした", "Something went wrong";
    broken_1: "こちらの不具合で処理できませんでした。少し待ってから、もう一度お試しください。", "This is a fault on our side. Please try again in a little while.";
    start_page: "はじめの画面へ", "To the start page";
}
