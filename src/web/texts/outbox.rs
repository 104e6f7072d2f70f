//! Texts of the captured mails of a demonstration.

texts! {
    title: "送信箱（デモ用）", "Outbox (demonstration)";
    lead: "送信されるはずだったメールです。新しい順に並んでいます。", "Mails that would have been sent, newest first.";
    empty: "まだメールはありません。", "No mail yet.";
    from: "差出人", "From";
    no_subject: "（件名なし）", "(no subject)";
}
