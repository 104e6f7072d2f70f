//! Texts about codes that are typed: of a second factor, and the backup code.

texts! {
    // The login page of the second step.
    title: "ワンタイムパスワードの入力", "Your one-time password";
    lead_app: "認証アプリに表示されている6桁のワンタイムパスワードを入力してください。", "Enter the six digits that your authenticator app shows.";
    lead_mail: "登録されているメールアドレスに、ワンタイムパスワードを送ります。", "We send a one-time password to the address you have set up.";
    label: "ワンタイムパスワード", "One-time password";
    hint: "全角でも半角でも、間に空白があってもかまいません。", "Spaces between the digits make no difference.";
    button: "次へ", "Next";
    use_app: "認証アプリのワンタイムパスワードを使う", "Use a code of the authenticator app";
    use_mail: "メールでワンタイムパスワードを受け取る", "Receive a code by mail";
    lost: "ログインできない方はこちら", "If you cannot log in";

    ending: "二要素認証は、設定し直す途中です。今までの方法を使えないときは、{time}\u{a0}を過ぎてから、もう一度ログインしてください。新しく設定できます。", "Two-factor login is about to be set up anew. If you cannot use your current method, log in again after {time}: then you can set up a new one.";

    // A code by mail.
    send: "メール送信", "Send the mail";
    send_again: "もう一度送る", "Send another one";
    send_rules: "新しく送ると、前のワンタイムパスワードは使えなくなります。送れるのは1分に1回、1時間に5回、1日に10回までです。", "A new one replaces the one before. You can have one sent every minute, five an hour and ten a day.";
    under_way: "{address} に送りました。有効期限はメール送信後{minutes}分です。{until}\u{a0}まで入力できます。", "We sent it to {address}. It is valid for {minutes} minutes after sending: enter it before {until}.";
    sent: "ワンタイムパスワードをメールで送りました。", "The one-time password is on its way by mail.";
    too_soon: "続けて送れる回数を超えました。次は {time}\u{a0}から送れます。", "Too many were sent in a row. The next one can be sent from {time}.";
    too_soon_waiting: "届いているメールのワンタイムパスワードは、期限まで使えます。", " The one that has arrived can be used as long as it is valid.";
    too_soon_else: "お急ぎのときは、バックアップコードを使うか、管理者におたずねください。", " If it is urgent, use your backup code or ask your administrator.";
    stopped: "宛先がないという返事が続いたため、登録されているアドレスへは送っていません。認証アプリを設定している方は、アプリのワンタイムパスワードを使ってください。そうでない方は、バックアップコードを使うか、管理者におたずねください。", "Nothing is sent to the address you have set up, because its mail server repeatedly said that it does not exist. Use a code of the app if you have set one up, or else your backup code, or ask your administrator.";
    stopped_there: "宛先がないという返事が続いたため、このアドレスへは送っていません。ほかのアドレスを入力するか、管理者におたずねください。", "Nothing is sent to this address, because its mail server repeatedly said that it does not exist. Enter another one, or ask your administrator.";
    no_address: "メールアドレスを正しく入力してください。", "Please enter a valid email address.";

    // What may be wrong.
    empty: "ワンタイムパスワードを入力してください。", "Please enter the one-time password.";
    wrong_app: "ワンタイムパスワードがちがうか、もう使われています。アプリに次の数字が出てから入力してください。スマートフォンの時刻が合っているかもお確かめください。", "The one-time password is wrong or was used before. Please enter the next one that the app shows, and check that the clock of your phone is right.";
    wrong_mail: "ワンタイムパスワードがちがいます。いちばん新しいメールの数字をお確かめください。", "The one-time password is wrong. Please check the digits in the latest mail.";
    burnt: "まちがいが5回続いたため、このワンタイムパスワードは使えなくなりました。新しいワンタイムパスワードをメールで受け取ってください。", "After five wrong tries this one-time password cannot be used any more. Please have a new one sent to you.";
    over: "このワンタイムパスワードは使えません。期限が過ぎたか、新しいものに替わっています。新しいワンタイムパスワードをメールで受け取ってください。", "This one-time password cannot be used: its time is over, or it was replaced. Please have a new one sent to you.";
    wait: "まちがいが続いたため、しばらく受け付けません。長くても1分待ってから、もう一度お試しください。", "After several wrong tries the page waits: one minute at most. Please try again after that.";
    paused: "まちがいが多いため、この端末からは24時間受け付けません。お急ぎのときは「ログインできない方はこちら」に進むか、管理者におたずねください。", "After many wrong tries nothing is accepted from this device for 24 hours. If it is urgent, follow “If you cannot log in” or ask your administrator.";

    // The backup code.
    backup_title: "バックアップコードの入力", "Enter your backup code";
    backup_lead: "バックアップコードを入力してください。", "Please enter the backup code that you noted down.";
    backup_label: "バックアップコード", "Backup code";
    backup_note: "今の二要素認証の設定を解除し、設定の画面に進みます。新しく設定し終わるまで、ほかの操作はできません。", "This removes your present two-factor settings and leads to setting them up again. Nothing else can be done before that.";
    backup_unknown: "バックアップコードがわからないときは、管理者に二要素認証の初期化をご依頼ください。", "If you do not have the code, ask your administrator to reset two-factor login.";
    backup_ok: "OK（設定を解除する）", "OK (remove my settings)";
    backup_empty: "バックアップコードを入力してください。", "Please enter the backup code.";
    backup_wrong: "バックアップコードがちがいます。控えたものをもう一度お確かめください。", "That is not the backup code. Please check what you noted down.";
    backup_wait: "1時間に試せるのは5回までです。時間をおいて、もう一度お試しください。", "You can try five times an hour. Please try again later.";
    backup_paused: "1日に試せるのは20回までです。管理者に二要素認証の初期化をご依頼ください。", "You can try 20 times a day. Please ask your administrator to reset two-factor login.";
}
