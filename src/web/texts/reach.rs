//! How an address stands, in plain words, each with the way out; at most 60 characters a sentence.

texts! {
    nothing: "まだ、確認をしていません。", "Not tested yet.";
    nothing_way: "テストメールを送ると、届くかどうかを確かめられます。", "Send a test mail to see whether mail arrives.";
    underway: "テストメールを送っています。", "The test mail is on its way.";
    underway_way: "そのまましばらくお待ちください。", "Please wait a moment.";
    read: "届くことを確認できています。", "Confirmed: mail arrives here.";
    taken: "宛先のメールサーバーが受け取りました。", "The mail server there has taken the mail.";
    taken_way: "届いたメールのリンクを開き、ボタンを押してください。見あたらないときは、迷惑メールのフォルダと受信の設定を確かめてください。", "Open the link in the mail and press the button. If you cannot find the mail, look into the spam folder and check your settings.";
    unknown: "そのアドレスはない、という返事でした。", "The answer was that there is no such address.";
    unknown_way: "つづりを確かめて、入力し直してください。", "Please check the spelling and enter it again.";
    filtered: "受け取る側の設定により、拒否されました。アドレスは使われています。", "The mail was refused by the settings of the mailbox. The address itself exists.";
    filtered_way: "受信を許可するリストに {domain} を加えて、もう一度お試しください。", "Add {domain} to the list of senders you allow, and try again.";
    full: "メールボックスがいっぱいで、受け取れません。", "The mailbox is full.";
    full_way: "いらないメールを消してください。そのあとも届かないときは、テストメールをもう一度送ってください。", "Please delete mails that you do not need. If nothing arrives after that, send another test mail.";
    closed: "そのアドレスは、メール会社が止めています。", "The mail provider has switched this address off.";
    closed_way: "メール会社に確かめるか、別のアドレスを登録してください。", "Please ask your provider, or register another address.";
    waiting: "宛先のメールサーバーが、今は受け取れません。", "The mail server there cannot take the mail at the moment.";
    waiting_way: "自動でくり返し送ります。しばらくお待ちください。", "It is tried again by itself. Please wait.";
    missed: "宛先のメールサーバーが長く受け取れず、送るのをやめました。", "The mail server there could not take the mail for too long, so it was given up.";
    missed_way: "時間をおいて、テストメールをもう一度送ってください。", "Please send another test mail later.";
    ours: "こちらの側の問題で、送れませんでした。", "It could not be sent, and that is our fault.";
    ours_way: "設定を変える必要はありません。団体の管理者にお知らせください。", "You need not change anything. Please tell your organisation’s administrator.";
    unclear: "受け取りを断られました。理由はわかりません。", "The mail was refused. No reason was given.";
    unclear_way: "受信の設定を確かめて、もう一度お試しください。別のアドレスの登録もご検討ください。", "Please check your settings and try again, or register another address.";
    unsure: "送り終える前に接続が切れ、届いたかどうかわかりません。", "The connection was lost at the end, so the mail may have arrived or not.";
    unsure_way: "届いていないときは、テストメールをもう一度送ってください。", "If it has not arrived, please send another test mail.";
    stopped: "このアドレスへは、送るのを止めています。宛先がない、という返事が続いたためです。", "Nothing is sent to this address any more, because its mail server repeatedly said that it does not exist.";
    stopped_way: "そのアドレスから {registration} へ空メールを送ると、また届くようになります。", "Send an empty mail from that address to {registration}, and mail will be sent there again.";
    read_at: "届いたことを確認した日時", "Confirmed";
    taken_at: "サーバーが最後に受け取った日時", "Last accepted by the mail server";
    quotes: "メールサーバーの返事（くわしい内容）", "What the mail server said (in detail)";
    no_quote: "返事なし", "no reply";
}
