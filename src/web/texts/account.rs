//! Texts of the member's menu and of the page to bookmark.

texts! {
    // The menu.
    title: "メニュー", "Menu";
    tab: "個人メニュー", "My menu";
    lead: "行いたいことを選んでください。", "What would you like to do?";
    profile: "個人情報メンテナンス（連絡先）", "Personal information (addresses)";
    password: "パスワードの変更", "Change the password";
    bookmark: "ログイン画面ブックマーク", "Bookmark the login page";

    // The page to bookmark.
    bookmark_title: "この画面をブックマークしてください", "Bookmark this page";
    bookmark_lead: "ブラウザの「ブックマーク」や「お気に入り」「ホーム画面に追加」で、この画面を登録してください。次からは、ここからログインできます。", "Add this page to the bookmarks, the favourites or the home screen of your browser. From then on, you can log in from here.";
    bookmark_why: "災害でサービスの場所が切り替わっても、このアドレスはそのまま使えます。ログインしたあとの画面のアドレスは、使えなくなることがあります。", "This address keeps working even if the service has to move after a disaster. The address of a page that you see after logging in may not.";
    bookmark_address: "ブックマークするアドレス", "Address to bookmark";
    bookmark_login: "ログイン画面へ", "To the login page";
    to_menu: "メニューへ戻る", "Back to the menu";
}
