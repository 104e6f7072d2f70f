//! Texts of choosing a password.

texts! {
    show: "文字を見ながら入力する", "Show the password while typing";
    eye: "パスワードを表示", "Show password";
    hide: "文字を隠して入力する", "Hide the password while typing";
    title: "新しいパスワードを決める", "Choose a new password";
    lead: "管理者から受け取ったパスワードでログインしました。これから使う、自分だけのパスワードを決めてください。", "You logged in with a password from your administrator. Please choose one of your own.";
    rule_1: "半角の英字（大文字・小文字）、数字、記号で、{least}文字から{most}文字まで", "Letters, digits and symbols, {least} to {most} characters";
    rule_1_most: "半角の英字（大文字・小文字）、数字、記号で、{most}文字まで", "Letters, digits and symbols, {most} characters at most";
    rule_2: "長いほど安全です。関係のない言葉を3つほどつなげると、覚えやすくなります。", "Longer is safer. A few unrelated words in a row are easy to remember.";
    rule_3: "団体コード、ID、最初のパスワード、「123456」のようによく使われるものは選べません。", "Not the organisation code, the ID, the first password, or one that many people use, such as “123456”.";
    rule_3_warns: "団体コード、ID、最初のパスワードは選べません。「123456」のようによく使われるものは、おすすめしません。", "Not the organisation code, the ID or the first password; better not one that many people use, such as “123456”.";
    change_title: "パスワードの変更", "Change the password";
    change_lead: "変更すると、ほかの端末ではログアウトされ、登録してあるアドレスすべてにお知らせが届きます。", "Other devices will be logged out, and a notice goes to all your registered addresses.";
    change_button: "登録", "Register";
    strength: "パスワードの強さ：{strength}", "Strength of the password: {strength}";
    common: "多くの人が使っているか、短すぎるパスワードです。すぐに当てられるおそれがあるため、別のものをおすすめします。", "Many people use this password, or it is too short. It may be guessed at once, so we advise against it.";
    advice: "もっと長くすると、より安全です。", "A longer one is safer.";
    new: "新しいパスワード", "New password";
    again: "新しいパスワード（もう一度）", "New password (again)";
    button: "登録", "Use this password";
    empty: "新しいパスワードを入力してください。", "Please enter a new password.";
    character: "半角の英字、数字、記号だけを使ってください。全角の文字と空白は使えません。", "Please use only half-width letters, digits and symbols, without spaces.";
    too_short: "{least}文字以上にしてください。", "Please use {least} characters or more.";
    too_long: "{most}文字までにしてください。", "Please use {most} characters or fewer.";
    org_code: "団体コードと同じパスワードは使えません。ほかの人にすぐわかってしまいます。", "The password must not be the organisation code: others would guess it at once.";
    login_id: "IDと同じパスワードは使えません。ほかの人にすぐわかってしまいます。", "The password must not be the ID: others would guess it at once.";
    start: "最初のパスワードは使えません。管理者も知っているため、別のものにしてください。", "The first password cannot be kept, as the administrator knows it. Please choose another one.";
    known_bad: "多くの人が使っているか、短すぎるパスワードです。すぐに当てられてしまうため、別のものにしてください。", "Many people use this password, or it is too short. It would be guessed at once; please choose another one.";
    too_weak: "団体の決まりで、強さが「{strength}」以上のパスワードが必要です。もっと長くしてください。", "Your organisation asks for a password whose strength is “{strength}” or better. Please make it longer.";
    weak: "弱（■□□）", "weak (■□□)";
    medium: "中（■■□）", "medium (■■□)";
    strong: "強（■■■）", "strong (■■■)";
    mismatch: "2回の入力がちがっています。同じパスワードを2回入力してください。", "The two entries differ. Please enter the same password twice.";
    done: "パスワードを変更しました。次からは新しいパスワードでログインしてください。", "Your password has been changed. From now on, log in with the new one.";
}
