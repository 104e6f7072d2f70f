//! Texts of the pages on which a second factor is set up, changed and removed.

texts! {
    link: "二要素認証", "Two-factor login";

    // The overview.
    title: "二要素認証設定", "Two-factor login";
    needed: "ログインのときに、パスワードのほかにもう一つの確認（二要素認証）が必要です。団体の決まりです。どちらかを設定してください。", "Your organisation asks for a second step after the password. Please set up one of these.";
    lead: "ログインのときに、パスワードのほかにもう一つの確認をする方法です。両方を設定しておくこともできます。", "These are the ways to confirm a login after the password. You can have both.";
    app: "認証アプリ", "Authenticator app";
    recommended: "おすすめ", "Recommended";
    app_about: "スマートフォンの認証アプリが表示する数字を使います。電波が届かなくても使えるため、こちらをおすすめします。", "Uses the digits that an app on your phone shows. It works without a connection, so we recommend it.";
    mail: "メール", "Mail";
    mail_about: "メールで届く数字を使います。二段階目の確認にはなりますが、メールが届かないと使えず、アプリほど安全ではありません。", "Uses digits that come by mail. This is a second step, but it needs the mail to arrive and is less safe than the app.";
    not_set: "設定していません", "Not set up";
    to_be_set: "新しく設定してください", "To be set up anew";
    since: "{time}\u{a0}に設定しました", "Set up on {time}";
    set_up: "設定する", "Set up";
    set_up_again: "設定し直す", "Set up again";
    remove: "解除する", "Remove";
    app_removed: "認証アプリでの二要素認証を解除しました。", "The authenticator app was removed.";
    mail_removed: "メールでの二要素認証を解除しました。", "The email address was removed.";
    replace: "解除を受け付けました。続けて、二要素認証を設定し直してください。", "It will be removed. Now set up a new way.";
    backup_used: "バックアップコードを確認しました。二要素認証を設定し直してください。", "Your backup code was right. Now set up two-factor login again.";
    ending: "今までの方法は、新しい方法を設定したとき、または {time}\u{a0}に使えなくなります。", "Your current method stops working when a new one is set up, or at {time}.";
    backup: "バックアップコード", "Backup code";
    backup_there: "お渡ししています。もう一度表示することはできません。", "You have one. It cannot be shown again.";
    backup_left: "10個お渡ししたうち、残りは{left}個です。もう一度表示することはできません。", "You have {left} of ten codes left. They cannot be shown again.";
    backup_none: "まだありません。スマートフォンをなくしたときなどに必要になります。", "You have none yet. You will need one if you lose your phone.";
    backup_unseen: "発行しましたが、まだ画面に表示されていません。もう一度発行してください。", "One was made, but no page has shown it to you. Please make another one.";
    backup_unsure: "一度表示しましたが、保存したというボタンがまだ押されていません。控えがないときは、もう一度発行してください。前のものは使えなくなります。", "It was shown to you, but you did not say that you have kept it. If you have no note of it, make another one: the one before can then no longer be used.";
    backup_make: "バックアップコードを発行する", "Make a backup code";
    menu: "メインメニューへ", "To the main menu";
    go_on: "メールアドレスの登録に進む", "Go on registering your address";

    // The app.
    app_lead: "スマホアプリを用いて二要素認証を設定します。", "Set up two-factor login with an app on your phone.";
    app_replaces: "登録が終わるまでは、今のアプリの数字が使えます。終わると、今までの登録は使えなくなります。", "Until you finish, the present codes stay valid. After that, they do not.";
    step_1: "STEP1　アプリを用意する", "STEP 1: Get an app";
    step_1_text: "Google Authenticator か Microsoft Authenticator を、スマートフォンに入れてください。すでにお使いのアプリがあれば、それを使えます。", "Install Google Authenticator or Microsoft Authenticator on your phone. If you have such an app already, you can use it.";
    step_2: "STEP2　アカウントを追加する", "STEP 2: Add the account";
    step_2_text: "この画面を見ているスマートフォンにアプリがあるときは、QRコードの下のキーを押してください。パソコンなど別の画面で見ているときは、アプリで次のQRコードを読み取ってください。", "Is the app on the phone that shows this page? Then press the key below the QR code. If you see this page on another screen, scan the QR code with the app.";
    qr: "アプリで読み取るQRコード", "QR code to be scanned by the app";
    key_link: "次のキーを押すとアプリが開き、アカウントを追加できます。", "Press this key: the app opens and adds the account.";
    by_hand: "手動で入力する場合", "To type it by hand";
    by_hand_text: "アプリで「セットアップキーを入力」などを選び、次のとおり入力してください。種類は「時間ベース」です。", "In the app choose to enter a setup key, and type the following. The kind is “time based”.";
    account: "アカウント名", "Account name";
    key: "キー", "Key";
    several: "複数の端末（スマートフォン、タブレットなど）で使うときは、この画面のQRコードを、使うすべての端末で読み取ってください。", "To use several devices, scan this same QR code with all of them now.";
    each_time: "QRコードは表示するたびに変わります。あとで端末を追加するときは、設定済みの端末でも読み取り直してください。", "The QR code changes every time it is shown. To add a device later, scan the new code with all your devices.";
    step_3: "STEP3　数字を入力する", "STEP 3: Enter the digits";
    step_3_text: "この画面に戻り、アプリの「{issuer}」に表示された6桁のワンタイムパスワードを入力してください。", "Come back to this page, and enter the six digits that the app shows for “{issuer}”.";
    app_over: "時間がたったため、QRコードが新しくなりました。アプリに追加した古い登録を消してから、新しいQRコードかキーで追加し直してください。", "The page was open for too long, so the QR code has changed. Delete what you added to the app, and add it again with the new QR code or key.";
    register: "登録", "Register";
    to_mail: "メールアドレスで二要素認証を設定する場合はこちら", "Set up with an email address instead";
    back: "二要素認証設定へ戻る", "Back to two-factor login";

    // The mail address.
    mail_lead: "メールアドレスを用いて二要素認証を設定します。", "Set up two-factor login with an email address.";
    mail_advice: "メールは二段階目の確認です。より安全な認証アプリをおすすめします。", "Mail is a second step. We recommend the authenticator app, which is safer.";
    mail_step_1: "STEP1　メールアドレスを指定する", "STEP 1: Choose the address";
    mail_step_1_text: "ワンタイムパスワードを受け取るアドレスを入力し、「メール送信」を押してください。連絡先のアドレスとは別に登録されます。", "Enter the address that is to receive one-time passwords, and send the mail. It is kept apart from your contact addresses.";
    mail_present: "今のアドレス：{address}", "Present address: {address}";
    email: "メールアドレス", "Email address";
    mail_step_2: "STEP2　数字を入力する", "STEP 2: Enter the digits";
    mail_step_2_text: "届いたメールに書かれたワンタイムパスワードを入力してください。", "Enter the one-time password from the mail.";
    to_app: "認証アプリで設定する場合はこちら", "Set up with an app instead";

    // Set up.
    done_title: "二要素認証の登録が完了しました", "Two-factor login is set up";
    done_code: "次のバックアップコードを、紙に書くなどして保存してください。", "Please note down this backup code and keep it safe.";
    done_codes: "次の10個のバックアップコードを、紙に書くなどして保存してください。どれも1回ずつ使えます。", "Please note down these ten backup codes and keep them safe. Each of them works once.";
    done_why: "機種変更や紛失などでワンタイムパスワードを受け取れなくなったとき、このコードで二要素認証を初期化し、設定し直すことができます。", "If you change or lose your phone and cannot get one-time passwords any more, this code lets you set two-factor login up again.";
    done_once: "表示されるのは今回だけです。下のボタンを押すか30分たつと、もう一度表示することはできません。", "It is shown this once only: after you press the button, or after 30 minutes, it cannot be shown again.";
    done_made: "バックアップコードを発行しました", "Your backup code is ready";
    done_kept: "保存しました。メインメニューへ", "I have kept it: to the main menu";
    done_kept_on: "保存しました。メールアドレスの登録に進む", "I have kept it: go on registering";
    done_known: "バックアップコードは、前にお渡ししたものをお使いください。もう一度表示することはできません。", "Your backup code is the one you got before. It cannot be shown again.";
    done_app: "続けてスマホアプリの登録も行う場合はこちら", "Set up an authenticator app as well";
    done_mail: "続けてメールアドレスの登録も行う場合はこちら", "Set up an email address as well";

    // A code once more, before a change.
    confirm_title: "ワンタイムパスワードの確認", "Confirm that it is you";
    confirm_lead: "設定を変える前に、今の方法のワンタイムパスワードを入力してください。", "Before you change the settings, please enter a one-time password of your current method.";
    confirm_lost: "受け取れないときは、一度ログアウトしてください。ログインし直すと、「ログインできない方はこちら」からバックアップコードを使えます。", "If you cannot get one, log out and log in again: there, “If you cannot log in” takes your backup code.";

    // Removing.
    remove_app: "認証アプリの解除", "Remove the authenticator app";
    remove_mail: "メールの解除", "Remove the email address";
    remove_lead: "解除してもよろしいですか。確認のため、ワンタイムパスワードを入力してください。", "Do you really want to remove it? To confirm, enter a one-time password.";
    remove_last: "二要素認証の方法は、これ一つだけです。解除すると、すぐに新しい方法の設定に進みます。設定し終わるまで、ほかの操作はできません。", "This is your only method. After removing it you set up a new one at once, and can do nothing else before.";
}
